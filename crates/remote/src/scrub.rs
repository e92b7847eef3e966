//! Keeps secrets out of what people and files are told.

use std::env;

/// What begins the names of the environment's variables that hold credentials, and what is in the names of those that are
/// secret.
const FAMILIES: [&str; 3] = ["AWS_", "AZURE_", "GOOGLE_"];
const SECRET: [&str; 6] = ["KEY", "SECRET", "TOKEN", "SAS", "PASSWORD", "ACCOUNT_JSON"];
/// Shorter values are no secrets, and would be found in innocent words.
const SHORTEST: usize = 6;
/// An answer of a server is cut off there.
const LONGEST: usize = 600;

/// Logs of libraries that speak of requests, headers and keys: of the command line's levels none turns them on.
const TALKATIVE: [&str; 12] = [
    "h2",
    "hyper",
    "hyper_rustls",
    "hyper_util",
    "object_store",
    "quick_xml",
    "reqwest",
    "rustls",
    "tokio",
    "tower",
    "tower_http",
    "want",
];

/// Whether what logs under `target` may tell of headers and URLs, in which credentials are.
#[must_use]
pub fn tells_secrets(target: &str) -> bool {
    let krate = target.split("::").next().unwrap_or_default();
    TALKATIVE.contains(&krate)
}

/// A text without the values of the environment's credentials, without what stands before `@` and behind `?` in URLs, and,
/// where a server answered in XML, with no more of the answer than its code and message. One line of bounded length.
#[must_use]
pub fn scrubbed(text: &str) -> String {
    let values = env::vars_os().filter_map(|(name, value)| {
        let (name, value) = (name.to_str()?.to_owned(), value.to_str()?.to_owned());
        let is_secret =
            FAMILIES.iter().any(|family| name.starts_with(family)) && SECRET.iter().any(|part| name.contains(part));
        (is_secret && value.len() >= SHORTEST).then_some(value)
    });
    scrubbed_of(text, &values.collect::<Vec<_>>())
}

/// The same without the given values.
fn scrubbed_of(text: &str, values: &[String]) -> String {
    let text = without_xml(text);
    let mut words = Vec::new();
    for word in text.split_whitespace() {
        words.push(without_credentials(word));
    }
    let mut text = words.join(" ");
    for value in values {
        text = text.replace(value.as_str(), "***");
    }
    if text.chars().count() > LONGEST {
        text = text.chars().take(LONGEST).chain("...".chars()).collect();
    }
    text
}

/// `https://KEY:SECRET@host/path?sig=...` becomes `https://host/path?***`.
fn without_credentials(word: &str) -> String {
    let Some((scheme, rest)) = word.split_once("://") else { return word.to_owned() };
    let authority = rest.find(['/', '?']).unwrap_or(rest.len());
    let rest = rest[..authority].rfind('@').map_or(rest, |at| &rest[at + 1..]);
    match rest.find(['?', '#']) {
        Some(end) => format!("{scheme}://{}***", &rest[..=end]),
        None => format!("{scheme}://{rest}"),
    }
}

/// Answers in XML repeat the request that was signed. What is not their code and message goes.
fn without_xml(text: &str) -> String {
    let Some(start) = ["<?xml", "<Error"].iter().filter_map(|sign| text.find(sign)).min() else {
        return text.to_owned();
    };
    let answer = &text[start..];
    let field = |name: &str| {
        let (_, rest) = answer.split_once(&format!("<{name}>"))?;
        rest.split_once(&format!("</{name}>")).map(|(value, _)| value)
    };
    let told: Vec<&str> = ["Code", "Message"].into_iter().filter_map(field).collect();
    format!("{}{}", &text[..start], told.join(": "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_url_keeps_who_may_read_it() {
        assert_eq!(scrubbed_of("GET https://me:secret@host/a?sig=x&se=y in 1s", &[]), "GET https://host/a?*** in 1s");
        assert_eq!(scrubbed_of("s3://key:secret@bucket", &[]), "s3://bucket");
        assert_eq!(scrubbed_of("(http://host/a/b@c)", &[]), "(http://host/a/b@c)");
    }

    #[test]
    fn no_value_of_a_credential_is_told() {
        let values = ["AKIAEXAMPLE".to_owned(), "tops3cret/+".to_owned()];
        assert_eq!(scrubbed_of("key AKIAEXAMPLE, secret=tops3cret/+;", &values), "key ***, secret=***;");
    }

    #[test]
    fn of_an_answer_in_xml_code_and_message_are_told() {
        let text = "status 403: <?xml version=\"1.0\"?><Error><Code>SignatureDoesNotMatch</Code><Message>It does not\n match.\
                    </Message><AWSAccessKeyId>AKIA</AWSAccessKeyId><StringToSign>x</StringToSign></Error>";
        assert_eq!(scrubbed_of(text, &[]), "status 403: SignatureDoesNotMatch: It does not match.");
    }

    #[test]
    fn libraries_that_log_headers_are_silent() {
        assert!(tells_secrets("h2::codec::framed_write") && tells_secrets("object_store"));
        assert!(!tells_secrets("overinterp_remote::push") && !tells_secrets("hyperion"));
    }
}
