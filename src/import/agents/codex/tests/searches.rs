//! Web searches of the provider in a rollout.

use super::{context, count, line, meta, parse, record, usage};

fn search(second: u32, action: &str) -> String {
    line(second, "response_item", &format!(r#"{{"type":"web_search_call","status":"completed"{action}}}"#))
}

fn searches(lines: &[String]) -> Vec<Option<u64>> {
    parse(lines).iter().map(|call| call.record.server_tools.get("web_search").copied()).collect()
}

#[test]
fn searches_belong_to_the_call_that_follows_them() {
    let query = r#","action":{"type":"search","query":"x"}"#;
    let lines = [
        meta("a", ""),
        context("m"),
        count(2, &usage(1), &usage(1)),
        search(3, query),
        search(4, r#","action":{"type":"open_page","url":"x"}"#),
        search(5, ""),
        count(6, &usage(2), &usage(1)),
        count(7, &usage(2), &usage(1)),
        count(8, &usage(3), &usage(1)),
    ];
    assert_eq!(searches(&lines), [None, Some(2), None]);
}

#[test]
fn a_record_and_its_count_state_the_same_searches() {
    let query = r#","action":{"type":"search","query":"x"}"#;
    for counted_first in [false, true] {
        let mut sides = [count(4, &usage(1), &usage(1)), record(4, "r1", &usage(1), &usage(1))];
        if !counted_first {
            sides.reverse();
        }
        let [first, second] = sides;
        let more = [count(9, &usage(2), &usage(1))];
        let lines = [vec![meta("a", ""), context("m"), search(3, query), first, second], more.to_vec()].concat();
        assert_eq!(searches(&lines), [Some(1), None], "{counted_first}");
    }
}
