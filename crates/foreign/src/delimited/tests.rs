use super::{Header, Table, TableError};

const COLUMNS: [&str; 3] = ["index", "class", "confidence"];

fn read(text: &str) -> Result<Vec<(u64, [String; 3])>, TableError> {
    let table = Table::read(text.as_bytes(), &COLUMNS, Header::Optional)?;
    Ok(table.rows.into_iter().map(|row| (row.line, row.fields)).collect())
}

fn rows(text: &str) -> Vec<(u64, [String; 3])> {
    read(text).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

fn row(line: u64, fields: [&str; 3]) -> (u64, [String; 3]) {
    (line, fields.map(str::to_owned))
}

#[test]
fn columns_are_found_with_a_header_and_without() {
    let expected = |first| [row(first, ["0", "7", ".5"]), row(first + 1, ["1", "6", ".25"])];
    for text in ["0,7,.5\n1,6,.25\n", "0;7;.5\r\n1;6;.25\r\n", "0\t7\t.5\r1\t6\t.25", "0 7 .5\n1 6 .25\n"] {
        assert_eq!(rows(text), expected(1), "{text:?}");
    }
    for text in [
        "index,class,confidence\n0,7,.5\n1,6,.25\n",
        "\u{feff}\"Index\", \"class\" ,\"CONFIDENCE\"\r\n\"0\",\"7\",\".5\"\r\n\"1\",\"6\",\".25\"\r\n",
        // pandas, with an index of its own beside the column, and with the column as its index.
        ",index,class,confidence\n0,0,7,.5\n1,1,6,.25\n",
        ",class,confidence\n0,7,.5\n1,6,.25\n",
        // numpy.savetxt(..., header = "index,class,confidence").
        "# index,class,confidence\n0,7,.5\n1,6,.25\n",
        "confidence;name;index;class\n.5;a, b;0;7\n.25;;1;6\n",
    ] {
        assert_eq!(rows(text), expected(2), "{text:?}");
    }
}

#[test]
fn blank_lines_are_passed_over_and_counted() {
    let text = "\n\nindex,class,confidence\n\n0,7,.5\n  \n,,\n\n\n1,6,.25\n\n";
    assert_eq!(rows(text), [row(5, ["0", "7", ".5"]), row(10, ["1", "6", ".25"])]);
}

#[test]
fn what_could_mean_several_things_or_none_is_refused_by_its_line() {
    for (text, line, problem) in [
        ("", 1, "there is nothing in it"),
        ("\n \n", 1, "there is nothing in it"),
        ("0,0,7,.5\n", 1, "it has 4 fields, expected `index,class,confidence`"),
        ("0,7\n", 1, "it has 2 fields"),
        ("index,class,confidence\n0,7,.5\n1,6\n", 3, "it has 2 fields, expected 3"),
        ("image,class,confidence\n0,7,.5\n", 1, "there is no column `index`"),
        ("\nimage;class;confidence\n", 2, "there is no column `index`"),
        ("index,class,class,confidence\n0,7,7,.5\n", 1, "there are two columns `class`"),
        (",confidence\n0,.5\n", 1, "there is no column `class`"),
    ] {
        let error = read(text).unwrap_err();
        assert_eq!(error.line, line, "{text:?}: {error}");
        assert!(error.problem.starts_with(problem), "{text:?}: {error}");
    }
    let wide: Vec<u8> = [0xff, 0xfe].into_iter().chain("0,7,.5".encode_utf16().flat_map(u16::to_le_bytes)).collect();
    let error = Table::read(&wide, &COLUMNS, Header::Optional).unwrap_err();
    assert!(error.problem.contains("UTF-16"), "{error}");
}

#[test]
fn a_header_may_be_required_and_then_all_columns_have_names() {
    let read = |text: &str| Table::read(text.as_bytes(), &COLUMNS, Header::Required);
    assert!(read("index,class,confidence\n0,7,.5\n").is_ok());
    assert!(read("0,7,.5\n").is_err() && read(",class,confidence\n0,7,.5\n").is_err());
}
