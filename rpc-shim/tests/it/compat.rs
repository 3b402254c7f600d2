//! The execution-apis suite against the methods that read: what `calls` does not ask.
//!
//! Messages of errors may differ, codes and data count.

use crate::{
    calls::{ask, bare, suite},
    data::{files, first_difference},
};
use serde_json::Value;

#[tokio::test]
async fn execution_apis_cases_of_reading_methods_are_equal() {
    let Some(files) = files("rpc-compat") else { return };
    let methods = suite(&files);
    let (mut passed, mut failed) = (0, Vec::new());
    for (name, data) in files.iter().filter(|(name, _)| name.ends_with(".io")) {
        let text = String::from_utf8_lossy(data);
        // The suite itself compares only the kind of such an answer.
        let kind_only = text.lines().any(|line| line.starts_with("// speconly:"));
        let lines = |mark| text.lines().filter_map(move |line| line.strip_prefix(mark));
        for (request, response) in lines(">> ").zip(lines("<< ")) {
            let request: Value = serde_json::from_str(request).unwrap();
            let method = request["method"].as_str().unwrap();
            let expected = bare(&serde_json::from_str(response).unwrap());
            let found = ask(&methods, method, &request["params"]).await;
            let difference = if kind_only {
                (expected.get("error").is_some() != found.get("error").is_some()).then(|| format!("found {found}"))
            } else {
                first_difference("", &expected, &found)
            };
            match difference {
                None => passed += 1,
                Some(what) => failed.push(format!("{name}: {what}")),
            }
        }
    }
    assert!(failed.is_empty(), "{passed} passed, {} failed:\n{}", failed.len(), failed.join("\n"));
    assert_eq!(passed, 184);
}
