//! What is sent: files, headers, who may have them, and the JSON that the page is made of.

use std::net::SocketAddr;

use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::json;
use streams_http::HttpConfig;

use super::application::{Running, log, order, topology};

#[test]
fn the_page_may_load_only_what_this_server_sends() {
    let shop = Running::new(topology(), &log(), true);
    let (code, headers, page) = shop.get("", "");
    let header =
        |name: &str| headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str());
    assert_eq!((code, header("content-type")), (200, Some("text/html; charset=utf-8")));
    let policy = header("content-security-policy").unwrap();
    for rule in [
        "default-src 'none'",
        "script-src 'self'",
        "connect-src 'self'",
        "frame-ancestors 'none'",
        "trusted-types 'none'",
    ] {
        assert!(policy.split("; ").any(|found| found == rule), "{rule} is not in {policy}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
    assert_eq!(header("x-content-type-options"), Some("nosniff"));
    // Each file that the page names, and each that these import, is there with its type and the same policy.
    let mut wanted: Vec<String> =
        page.split('"').filter(|text| text.starts_with("page/")).map(str::to_owned).collect();
    let mut seen = 0;
    while let Some(path) = wanted.pop() {
        let (code, headers, text) = shop.get(&path, "");
        assert_eq!(code, 200, "{path}");
        let form = &headers.iter().find(|(name, _)| name == "content-type").unwrap().1;
        let ending = path.rsplit('.').next().unwrap();
        let types = json!({"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8", "svg": "image/svg+xml"});
        assert_eq!(types[ending], form.as_str(), "{path}");
        assert!(
            headers.iter().any(|(name, value)| name == "content-security-policy" && value == policy),
            "{path}"
        );
        let imports =
            text.split(" from \"./").skip(1).map(|rest| format!("page/{}", rest.split('"').next().unwrap()));
        wanted.extend(imports);
        seen += 1;
    }
    assert!(seen > 15, "{seen}");
}

/// A browser asks its user for a name and a password: the token is the password, and nothing but it opens.
#[test]
fn the_page_needs_the_token_that_everything_needs() {
    let config = HttpConfig {
        token: Some("s3cret:ä".to_owned()),
        ..HttpConfig::on(SocketAddr::from(([127, 0, 0, 1], 0)))
    };
    let shop = Running::with(topology(), &log(), config, |_| ());
    let basic = |pair: &str| format!("Basic {}", BASE64_STANDARD.encode(pair));
    for path in ["", "page/main.js", "status", "work", "history", "failures", "topology/graph"] {
        for refused in [
            "",
            "Basic",
            "Basic ???",
            &basic("s3cret:ä"),
            &basic("s3cret"),
            &basic("any:s3cret:"),
            &basic("any:"),
            &basic(""),
        ] {
            let (code, headers, body) = shop.get(path, refused);
            assert_eq!((code, body.contains("shop")), (401, false), "{path} with `{refused}`");
            let challenges = headers.iter().filter(|(name, _)| name == "www-authenticate");
            let challenges: Vec<&str> =
                challenges.map(|(_, value)| value.split(' ').next().unwrap()).collect();
            assert_eq!(challenges, ["Bearer", "Basic"]);
        }
        assert_eq!(shop.get(path, &basic("any:s3cret:ä")).0, 200, "{path}");
        assert_eq!(shop.get(path, &basic(":s3cret:ä")).0, 200, "{path}");
    }
}

#[test]
fn what_the_page_shows_is_told_as_json() {
    let kafka = log();
    let mut shop = Running::new(topology(), &kafka, true);
    let graph = shop.await_json("topology/graph", |_| true);
    let source = json!({
        "name": "KSTREAM-SOURCE-0000000000", "kind": "source", "topics": ["orders"], "stores": [],
        "successors": ["KSTREAM-KEY-SELECT-0000000001"],
    });
    assert_eq!(graph["subtopologies"][0]["nodes"][0], source);
    let counts = graph["subtopologies"][1]["nodes"].as_array().unwrap();
    assert!(counts.iter().any(|node| node["stores"] == json!(["orders-per-customer"])), "{graph}");

    (0..5_i64).for_each(|number| order(&kafka, "ada", &number.to_be_bytes()));
    order(&kafka, "eve", b"no number");
    shop.start();
    let failures = shop.await_json("failures", |failures| failures["total"] == 1);
    assert_eq!(failures["dropped"], json!([["unparsable", 1]]));
    let failure = &failures["last"][0];
    let place = (&failure["topic"], &failure["partition"], &failure["offset"]);
    assert_eq!(place, (&"orders".into(), &0.into(), &5.into()), "{failure}");
    assert_eq!((&failure["task"], &failure["stage"]), (&"0_0".into(), &"deserialization".into()));
    assert_eq!((&failure["dead_letters"], &failure["resumed"]), (&json!(["dead-letters"]), &true.into()));

    let task = |status: &serde_json::Value| status["threads"][0]["tasks"][1].clone();
    let counted = |status: &serde_json::Value| task(status)["stores"][0]["memory_bytes"].as_u64() > Some(0);
    let status = shop.await_json("status", |status| counted(status) && task(status)["inputs"][0]["lag"] == 0);
    assert_eq!(task(&status)["inputs"][0]["topic"], "shop-orders-per-customer-repartition");
    assert_eq!(task(&status)["stores"][0]["name"], "orders-per-customer");
    assert!(task(&status)["at"].as_i64() <= status["at"].as_i64(), "{status}");

    let history = shop.await_json("history", |_| true);
    let states: Vec<&str> = history
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["kind"] == "state")
        .map(|event| event["state"].as_str().unwrap())
        .collect();
    assert_eq!(states, ["REBALANCING", "RUNNING"], "{history}");
    let tasks =
        json!({"kind": "tasks", "thread": "StreamThread-1", "active": ["0_0", "1_0"], "restoring": []});
    let same = |event: &serde_json::Value| {
        tasks.as_object().unwrap().iter().all(|(name, value)| event[name] == *value)
    };
    assert!(history.as_array().unwrap().iter().any(same), "{history}");
    shop.streams.close(30 * super::application::SECOND).unwrap();
    // Tasks that it no longer has are not shown as if it had.
    assert_eq!(shop.await_json("status", |_| true)["threads"], json!([]));
    assert!(shop.streams.monitor().tasks().is_empty());
}
