//! Forms of exports: zoomed, without groups, in pages, and with numbers in several spellings.

use super::*;

fn read_text(text: &str) -> Statement {
    read("statement", text.as_bytes()).unwrap()
}

fn fault(text: &str) -> String {
    read("statement", text.as_bytes()).unwrap_err().to_string()
}

#[test]
fn starts_of_a_zoomed_export_show_the_length_of_its_buckets() {
    let file = |times: [&str; 2]| {
        let rows: Vec<String> = times.iter().map(|time| format!("{time},m,5,1\n")).collect();
        read_text(&format!(
            "usage_date_utc,model_version,usage_input_tokens_no_cache,usage_output_tokens\n{}",
            rows.concat()
        ))
    };
    let length = |times| {
        let statement = file(times);
        statement.rows.iter().map(|row| (row.end.millis() - row.start.millis()) / 60_000).collect::<Vec<_>>()
    };
    assert_eq!(length(["2026-05-01", "2026-05-02"]), [1_440, 1_440]);
    assert_eq!(length(["2026-05-01 00:00", "2026-05-01 10:00"]), [60, 60]);
    assert_eq!(length(["2026-05-01T10:00:00Z", "2026-05-01T10:01:00Z"]), [1, 1]);
}

#[test]
fn numbers_have_one_reading() {
    let cost = |text: &str| {
        read(
            "s",
            format!("date,username,sku,model,net_amount,input,output,cache_read,cache_write\n2026-05-01,u,s,m,\"{text}\",1,0,0,0\n")
                .as_bytes(),
        )
        .map(|statement| statement.rows[0].cost.unwrap().to_string())
        .map_err(|error| error.to_string())
    };
    for (text, usd) in [
        ("1,234.50", "1234.5"),
        ("-$0.01", "-0.01"),
        ("($1.25)", "-1.25"),
        ("$-2", "-2"),
        ("1e-5", "0.00001"),
        ("0.0868985999999999", "0.0868986"),
    ] {
        assert_eq!(cost(text), Ok(usd.to_owned()), "{text}");
    }
    // A decimal comma, two signs, and no number.
    for text in ["0,01", "12,50", "1.234,50", "1,23", "--1", "$", "1,2345"] {
        assert!(cost(text).unwrap_err().contains("is not an amount of money"), "{text}");
    }
    let cur = read_text(
        "line_item_usage_start_date,line_item_usage_type,line_item_usage_amount,pricing_unit\n\
         2026-05-01,X-input-tokens,0.30000000000000004,1K tokens\n",
    );
    assert_eq!(cur.rows[0].counts[&Class::Input], 300);
}

#[test]
fn pages_of_an_api_are_read_one_after_another() {
    let page = |day: u32, more: bool| {
        format!(
            r#"{{"data":[{{"starting_at":"2026-05-0{day}T00:00:00Z","ending_at":"2026-05-0{}T00:00:00Z","results":[{{"uncached_input_tokens":{day},"output_tokens":1,"model":"m"}}]}}],"has_more":{more},"next_page":null}}"#,
            day + 1
        )
    };
    let rows = |text: &str| {
        let read = read_text(text);
        (read.rows.len(), read.more_pages)
    };
    assert_eq!(rows(&format!("{}\n{}", page(1, true), page(2, false))), (2, None));
    assert_eq!(rows(&format!("[{},\n{}]", page(1, true), page(2, true))), (2, Some(2)));
    assert_eq!(rows(&page(1, true)), (1, Some(1)));
    let lines =
        r#"{"request_id":"a","spend":1,"startTime":"2026-05-01 10:00:00","model":"m","custom_llm_provider":"openai"}"#;
    assert_eq!(rows(&format!("{lines}\n{}\n", lines.replace("\"a\"", "\"b\""))).0, 2);
    assert!(fault(&format!("{}\nx", page(1, false))).contains("statement:2: not JSON"));
}

#[test]
fn null_is_the_default_workspace_if_others_are_named() {
    let file = |first: &str| {
        read_text(&format!(
            r#"{{"data":[{{"starting_at":"2026-05-01T00:00:00Z","ending_at":"2026-05-02T00:00:00Z","results":[
            {{"uncached_input_tokens":5,"output_tokens":9,"model":"m","workspace_id":{first}}},
            {{"uncached_input_tokens":6,"output_tokens":9,"model":"m","workspace_id":null}}]}}]}}"#
        ))
    };
    assert_eq!(file("\"wrkspc_1\"").rows[1].names[&Name::Workspace], "default");
    assert!(!file("null").rows[1].names.contains_key(&Name::Workspace));
}

#[test]
fn exports_without_groups_and_without_results_are_recognised() {
    let sums = read_text(
        r#"{"data":[{"starting_at":"2026-05-01T00:00:00Z","ending_at":"2026-05-02T00:00:00Z","group":null,"usage":{"uncached_input_tokens":5}}]}"#,
    );
    assert!(!sums.measures.has_models);
    let none =
        fault(r#"{"data":[{"starting_at":"2026-05-01T00:00:00Z","ending_at":"2026-05-02T00:00:00Z","results":[]}]}"#);
    assert!(none.contains("no bucket has results"), "{none}");
    assert!(fault("").contains("statement has no columns and no results"));
}

#[test]
fn amounts_that_round_to_zero_are_amounts() {
    let csv = read_text("usage_date_utc,model,token_type,cost_usd\n2026-05-01,Claude Haiku 4.5,output_tokens,0.00\n");
    assert_eq!((csv.rows.len(), csv.rows[0].amounts), (1, 1));
}
