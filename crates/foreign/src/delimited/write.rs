//! Tables that are written.

/// CSV of these rows, as RFC 4180 wants it but for its line ends.
pub fn write(columns: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    std::iter::once(line(columns)).chain(rows.map(line)).collect()
}

/// A line of it.
pub fn line(fields: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let fields: Vec<String> = fields.into_iter().map(|field| quoted(field.as_ref())).collect();
    fields.join(",") + "\n"
}

fn quoted(field: &str) -> String {
    let plain = !field.contains([',', '"', '\n', '\r', ';', '\t']) && field.trim() == field;
    if plain { field.to_owned() } else { format!("\"{}\"", field.replace('"', "\"\"")) }
}
