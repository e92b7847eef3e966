//! Tables that are written.

/// CSV of these rows, as RFC 4180 wants it but for its line ends.
pub fn write(columns: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let header: Vec<String> = columns.iter().map(|&column| column.to_owned()).collect();
    let lines = std::iter::once(header).chain(rows).map(|fields| {
        let fields: Vec<String> = fields.iter().map(|field| quoted(field)).collect();
        fields.join(",") + "\n"
    });
    lines.collect()
}

fn quoted(field: &str) -> String {
    let plain = !field.contains([',', '"', '\n', '\r', ';', '\t']) && field.trim() == field;
    if plain { field.to_owned() } else { format!("\"{}\"", field.replace('"', "\"\"")) }
}
