//! The service tier of a call in a rollout.

use std::collections::BTreeMap;

use super::{context, line, meta, parse, usage};
use crate::import::engine::parsed_call::ParsedCall;

fn settings(tier: &str) -> String {
    let settings = format!(r#"{{"model":"m2","cwd":"/other"{tier}}}"#);
    line(
        2,
        "event_msg",
        &format!(r#"{{"type":"thread_settings_applied","thread_id":"a","thread_settings":{settings}}}"#),
    )
}

fn counted_after(lines: &[String], calls: u64) -> ParsedCall {
    let count = line(
        3,
        "event_msg",
        &format!(
            r#"{{"type":"token_count","info":{{"total_token_usage":{u},"last_token_usage":{u}}}}}"#,
            u = usage(calls)
        ),
    );
    parse(&[lines, &[count]].concat()).remove(0)
}

#[test]
fn a_tier_that_only_the_settings_name_sets_the_price_and_is_marked() {
    let labels = |lines: &[String]| counted_after(lines, 1).record.labels;
    let marked = |tier: &str| {
        BTreeMap::from(
            [("service_tier", tier), ("service_tier_from", "setting")]
                .map(|(name, value)| (name.to_owned(), value.to_owned())),
        )
    };
    let start = [meta("a", ""), context("m")];
    let with = |tier: &str| [start.to_vec(), vec![settings(tier)]].concat();
    assert_eq!(labels(&with(r#","service_tier":"priority""#)), marked("priority"));
    assert_eq!(labels(&with(r#","service_tier":"fast""#)), marked("priority"));
    assert_eq!(labels(&with(r#","service_tier":"flex""#)), marked("flex"));
    for tier in [r#","service_tier":"default""#, r#","service_tier":null"#, ""] {
        assert_eq!(labels(&with(tier)), BTreeMap::new(), "{tier}");
        // A later setting applies to later calls.
        let lines = [with(r#","service_tier":"priority""#), vec![settings(tier)]].concat();
        assert_eq!(labels(&lines), BTreeMap::new(), "{tier}");
    }
    let call = counted_after(&with(""), 1).record;
    assert_eq!((call.model.as_deref(), call.project.as_deref()), (Some("m2"), Some("/other")));
}

#[test]
fn the_tier_that_a_response_names_holds() {
    let record = |tier: &str| {
        line(
            3,
            "token_usage_record",
            &format!(
                r#"{{"thread_id":"a","response_id":"r"{tier},"usage":{u},"thread_token_usage":{u}}}"#,
                u = usage(1)
            ),
        )
    };
    let labels = |tier: &str| {
        let lines = [meta("a", ""), context("m"), settings(r#","service_tier":"priority""#), record(tier)];
        parse(&lines).remove(0).record.labels
    };
    assert_eq!(labels(r#","service_tier":"default""#)["service_tier"], "standard");
    assert!(!labels(r#","service_tier":"default""#).contains_key("service_tier_from"));
    assert_eq!(labels(r#","service_tier":"flex""#)["service_tier"], "flex");
    assert_eq!(labels("")["service_tier_from"], "setting");
}
