//! Tests which calls of a fork are its parent's, and which are its own.

use super::*;

#[test]
fn the_copied_history_is_joined_with_the_calls_of_the_parent() {
    let parent = parse(&[meta("parent", ""), count(2, &usage(1), &usage(1)), count(3, &usage(3), &usage(2))]);
    let child = parse(&[
        meta("own", SPAWNED),
        meta("parent", r#","forked_from_id":"grandparent""#),
        count(1, &usage(1), &usage(1)),
        count(2, &usage(3), &usage(2)),
        record(10, "r1", &usage(1), &usage(4)),
        count(10, &usage(4), &usage(1)),
        count(11, &usage(6), &usage(2)),
    ]);
    assert_eq!(child[1].record.keys, [key("own", 3), key("parent", 3), key("grandparent", 3)]);
    for (own, theirs) in child.iter().zip(&parent) {
        assert!(own.record.keys.contains(&theirs.record.keys[0]));
    }
    // Its own calls have no parent's key, because two siblings may use the same counts.
    assert_eq!(child[2].record.keys, ["r1".to_owned(), key("own", 4)]);
    assert_eq!(child[3].record.keys, [key("own", 6)]);
    assert!(child.iter().all(|call| call.record.conversation.as_deref() == Some("own")));
}

#[test]
fn a_call_after_the_fork_is_not_a_call_of_the_parent() {
    let all = parse(&[meta("own", SPAWNED), count(1, &usage(1), &usage(1)), count(3, &usage(3), &usage(2))]);
    assert_eq!(all[0].record.keys, [key("own", 1), key("parent", 1)]);
    assert_eq!(all[1].record.keys, [key("own", 3)]);
}

/// Returns the keys of a fork's calls, given the lines of its parent's rollout of the day before.
fn keys_of_fork(parent: &[String], fork: &[String]) -> Vec<Vec<String>> {
    let home = tempfile::tempdir().unwrap();
    let [of_parent, of_fork] = ["2026/05/31", "2026/06/01"].map(|day| home.path().join(".codex/sessions").join(day));
    fs::create_dir_all(&of_parent).unwrap();
    fs::create_dir_all(&of_fork).unwrap();
    fs::write(of_parent.join(format!("rollout-2026-05-31T23-00-00-{PARENT}.jsonl")), parent.join("\n")).unwrap();
    let name = "rollout-2026-06-01T10-00-00-019e8000-0000-7000-8000-000000000002.jsonl";
    let mut parser = Codex.parser(&of_fork.join(name), None, Zone::UTC).unwrap();
    for line in fork {
        parser.line(line.as_bytes()).unwrap();
    }
    parser.take().into_iter().map(|call| call.record.keys).collect()
}

/// An id of the evening of 2026-05-31.
const PARENT: &str = "019e7ff6-3500-7000-8000-000000000001";

fn earlier(line: &str) -> String {
    line.replace("2026-06-01T10", "2026-05-31T23")
}

#[test]
fn a_history_that_is_written_late_belongs_to_the_parent() {
    let parent: Vec<String> = [
        meta(PARENT, ""),
        count(2, &usage(1), &usage(1)),
        count(3, &usage(3), &usage(2)),
        count(9, &usage(4), &usage(1)),
    ]
    .iter()
    .map(|line| earlier(line))
    .collect();
    let head = || meta("own", &format!(r#","forked_from_id":"{PARENT}""#));
    let both = |calls| vec![key("own", calls), key(PARENT, calls)];
    let own = |calls| vec![key("own", calls)];
    let slow =
        [head(), count(1, &usage(1), &usage(1)), count(9, &usage(3), &usage(2)), count(20, &usage(5), &usage(2))];
    assert_eq!(keys_of_fork(&parent, &slow), [both(1), both(3), own(5)]);
    let late =
        [head(), count(40, &usage(1), &usage(1)), count(40, &usage(3), &usage(2)), count(50, &usage(6), &usage(3))];
    assert_eq!(keys_of_fork(&parent, &late), [both(1), both(3), own(6)]);
    // The total of the parent's last call is shown once, with no total before it.
    assert_eq!(keys_of_fork(&parent, &[head(), count(30, &usage(4), &usage(1))]), [both(4)]);
    // The fork's first own call ends the repetition.
    let back = [head(), count(10, &usage(2), &usage(1)), count(11, &usage(3), &usage(1))];
    assert_eq!(keys_of_fork(&parent, &back), [own(2), own(3)]);
    // The parent continued after the fork: those calls are not repeated.
    let ahead: Vec<String> =
        parent.iter().map(|line| line.replace("2026-05-31T23:00:09", "2026-06-02T10:00:00")).collect();
    let fork = [head(), count(10, &usage(3), &usage(2)), count(11, &usage(4), &usage(1))];
    assert_eq!(keys_of_fork(&ahead, &fork), [both(3), own(4)]);
}

#[test]
fn a_fork_without_history_counts_its_own_calls() {
    let all = parse(&[meta("own", r#","forked_from_id":"parent""#), count(2, &usage(50), &usage(1))]);
    assert_eq!(outputs(&all), [10]);
    assert_eq!(all[0].record.quality, Quality::Reported);
    let all = parse(&[meta("own", r#","forked_from_id":"parent""#), count(2, &usage(50), "null")]);
    assert_eq!(all[0].record.quality, Quality::Derived);
}
