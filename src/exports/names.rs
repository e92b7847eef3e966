//! What files and folders are called, so that every file system takes it.

use overinterp_spec::Cell;
use overinterp_workflow::plan::Label;

/// The folder of a step's files.
pub(crate) fn folder_name(label: &Label) -> String {
    let shard = label.shard.map_or_else(String::new, |(index, count)| format!("_shard_{}_{count}", index + 1));
    file_name(&Label { shard: None, ..label.clone() }.to_string(), &shard)
}

/// Bytes that a file's name may have in front of its hash and ending.
const LONGEST: usize = 200;

/// A name that every file system takes, of a cell and what is in front of it. Where another name could become the same
/// one (by what is replaced or cut, or on a system that does not tell upper from lower case), its hash is a part of it.
pub(crate) fn file_name(text: &str, ending: &str) -> String {
    let plain = |c: char| !(c.is_control() || matches!(c, '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|'));
    let name: String = text.chars().map(|c| if c != ' ' && plain(c) { c } else { '_' }).collect();
    let is_own = text.chars().all(plain) && !text.chars().any(char::is_uppercase) && name.len() <= LONGEST;
    if is_own { name + ending } else { hashed(&name, text, ending) }
}

/// A name that may stand as it is but for its length: a long one is cut, and the hash of all of it is a part.
pub(crate) fn within_limits(name: &str, ending: &str) -> String {
    if name.len() <= LONGEST { format!("{name}{ending}") } else { hashed(name, name, ending) }
}

/// What fits of a name, with the hash of the text that it stands for.
fn hashed(name: &str, text: &str, ending: &str) -> String {
    let mut cut = name.len().min(LONGEST);
    while !name.is_char_boundary(cut) {
        cut -= 1;
    }
    let hash = blake3::hash(text.as_bytes()).to_hex();
    format!("{}-{}{ending}", &name[..cut], &hash[..8])
}

/// `-arch=resnet20-seed=0`, for a part of a file's name.
pub(crate) fn cell_part(cell: &Cell) -> String {
    cell.iter().map(|(axis, value)| format!("-{axis}={value}")).collect::<Vec<_>>().concat()
}

#[cfg(test)]
mod tests {
    use super::file_name;

    #[test]
    fn every_cell_has_a_name_of_its_own_that_file_systems_take() {
        assert_eq!(file_name("subset fraction=0.05 seed=0", ".png"), "subset_fraction=0.05_seed=0.png");
        let names = ["x a=b/c", "x a=b_c", "x a=B/c", "x a=..", "x a=A", "x a=a"].map(|text| file_name(text, ""));
        for (index, name) in names.iter().enumerate() {
            assert!(
                !name.contains('/') && !names[..index].iter().any(|other| other.eq_ignore_ascii_case(name)),
                "{name}"
            );
        }
        let long = file_name(&format!("x a={}", "\u{e9}".repeat(300)), ".png");
        assert!(
            long.len() <= 255 && std::path::Path::new(&long).extension().is_some_and(|ending| ending == "png"),
            "{long}"
        );
    }
}
