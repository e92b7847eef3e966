//! What the page says, and that it is whole.

use overinterp_spec::{Bound, Cell, Check, Claim, Measure, Metric, Operand, Row, Subject, Table};

use super::super::claim::check;
use super::super::figure::{Content, draw};
use super::super::measurement::tests::{axes, measurement};
use super::super::table::fill;
use super::*;

fn measure(images: &str) -> Measure {
    let subject = Subject::Evaluation { model: "full".into(), images: images.into() };
    Measure { subject, pins: Cell::new(), metric: Metric::Accuracy }
}

/// The page of an experiment with a table of two rows, of which one is there, and a claim on each.
fn page() -> String {
    let measurements = [measurement("full", "test", &[("seed", 0.0)], 0.85), {
        let mut absent = measurement("full", "subset.test", &[("seed", 0.0)], 0.0);
        absent.value = None;
        absent
    }];
    let row = |label: &str, images| Row { label: label.into(), measure: measure(images), published: None };
    let table = Table {
        name: "one".into(),
        title: "Accuracy <of all>".into(),
        rows: vec![row("full", "test"), row("subsets", "subset.test")],
        columns: None,
        over: vec!["seed".into()],
    };
    let claim = |name: &str, images| Claim {
        name: name.into(),
        says: format!("{name} is more than .9"),
        paper: Some("section 4".into()),
        over: vec!["seed".into()],
        checks: vec![Check { value: measure(images), bound: Bound::Above(0.1), of: Operand::Number(0.8) }],
    };
    let claims = [check(&claim("first", "test"), &measurements), check(&claim("second", "subset.test"), &measurements)];
    let figure = draw("sizes", "Sizes", Content::Curves(vec![]), vec!["No stage of it is computed.".into()]).unwrap();
    Page {
        name: "tiny",
        description: "Few images & one model.",
        file: "tiny.toml".into(),
        steps: (3, 4),
        data: vec![DataOrigin { name: "set".into(), kind: "mnist".into(), splits: vec![] }],
        made: vec![],
        tables: &[fill(&table, &axes(), &measurements)],
        claims: &claims,
        figures: &[figure],
        measurements: &measurements,
        remarks: &["a remark".into()],
        caveats: vec![Caveat::Ties, Caveat::Edges],
        source: "name = \"tiny\" # <b>".into(),
    }
    .html()
}

#[test]
fn tables_and_claims_have_their_numbers_and_say_what_is_missing() {
    let page = page();
    for text in [
        "<caption>Accuracy &lt;of all&gt;</caption>",
        "<td class=\"number\">0.850</td>",
        "1 of the 2 numbers behind this table is not computed",
        "Does not hold",
        "Not evaluated",
        "full on test is at least 0.1 above 0.8",
        "<td class=\"number\">+0.050</td>",
        "In the paper: section 4",
        "0 of 2 claims hold, 1 does not, 1 is not evaluated",
        "3 of 4 steps are computed",
        "No step of this experiment is computed yet.",
        "There is nothing to draw.",
        "Springer&#39;s critique",
        "# &lt;b&gt;",
    ] {
        assert!(page.contains(text) || page.contains(&text.replace("&#39;", "'")), "{text} is not in {page}");
    }
    assert_eq!(page.matches("<span class=\"hidden\">not computed</span>").count(), 1 + 2, "{page}");
}

#[test]
fn the_page_asks_for_nothing_else() {
    let page = page();
    for outside in ["http:", "https:", "src=", "@import", "url(", "<link", "<script"] {
        let found = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!found.contains(outside), "{outside}");
    }
}

#[test]
fn every_element_is_closed_and_every_anchor_is_there() {
    let page = page();
    for element in ["table", "tr", "section", "article", "figure", "main", "header", "details", "div", "ul", "dl"] {
        let opened = page.matches(&format!("<{element}>")).count() + page.matches(&format!("<{element} ")).count();
        assert_eq!(opened, page.matches(&format!("</{element}>")).count(), "{element}");
    }
    for part in page.split("href=\"#").skip(1) {
        let id = part.split('"').next().unwrap();
        assert!(page.contains(&format!("id=\"{id}\"")), "{id}");
    }
}
