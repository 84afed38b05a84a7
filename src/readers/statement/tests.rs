//! Each source with its traps.

use super::*;

fn read_text(text: &str) -> Statement {
    read("statement", text.as_bytes()).unwrap()
}

fn fault(text: &str) -> String {
    read("statement", text.as_bytes()).unwrap_err().to_string()
}

fn usd(text: &str) -> Usd {
    text.parse().unwrap()
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn anthropic_usage_csv_has_disjoint_classes_in_every_column_set() {
    let new = read_text(
        "\u{feff}usage_date_utc,model_version,api_key,workspace,usage_type,context_window,usage_input_tokens_no_cache,\
         usage_input_tokens_cache_write_5m,usage_input_tokens_cache_write_1h,usage_input_tokens_cache_read,\
         usage_output_tokens,web_search_count,inference_geo,speed\n\
         2026-08-05,claude-opus-5,\"App, closer\",Default,standard,≤ 200k,46981,15969,7,3,16932,0,global,\n",
    );
    let row = &new.rows[0];
    assert_eq!((row.line, row.start, row.end), (2, time("2026-08-05T00:00:00Z"), time("2026-08-06T00:00:00Z")));
    assert_eq!(row.names[&Name::Key], "App, closer");
    assert_eq!(row.names[&Name::Context], "≤ 200k");
    let counts: Vec<u64> = row.counts.values().copied().collect();
    assert_eq!(counts, [46_981, 3, 15_969, 7, 16_932]);
    let old = read_text(
        "usage_date_utc,model_version,usage_input_tokens_no_cache,usage_input_tokens_cache_write,\
         usage_input_tokens_cache_read,usage_output_tokens\n2025-01-02 13:00,m,1,2,3,4\n",
    );
    assert_eq!(old.rows[0].counts[&Class::CacheWrites], 2);
    assert_eq!(old.rows[0].end, time("2025-01-02T14:00:00Z"));
}

#[test]
fn anthropic_costs_are_cents_per_row_in_csv_and_fractional_cents_in_json() {
    let csv = read_text(
        "usage_date_utc,model,workspace,api_key,usage_type,context_window,token_type,cost_usd,list_price_usd,cost_type,\
         inference_geo,speed,api_key_id,api_key_status\n\
         2026-05-01,Claude Sonnet 4.5,Default,k,standard,,output_tokens,1.23,1.50,token,global,,apikey_1,active\n",
    );
    assert_eq!((csv.rows[0].cost, csv.rows[0].list_cost), (Some(usd("1.23")), Some(usd("1.5"))));
    assert_eq!(csv.step, usd("0.01"));
    let json = read_text(
        r#"{"data":[{"starting_at":"2026-05-01T00:00:00Z","ending_at":"2026-05-02T00:00:00Z","results":[
            {"currency":"USD","amount":"123.78912","workspace_id":null,"description":"x","cost_type":"tokens","model":"m",
             "token_type":"output_tokens","service_tier":"standard","context_window":"0-200k"}]}],"has_more":false,"next_page":null}"#,
    );
    assert_eq!(json.rows[0].cost, Some(usd("1.2378912")));
    assert!(!json.rows[0].names.contains_key(&Name::Workspace));
}

#[test]
fn anthropic_usage_json_is_legacy_or_analytics() {
    let legacy = read_text(
        r#"{"data":[{"starting_at":"2026-05-01T00:00:00Z","ending_at":"2026-05-02T00:00:00Z","results":[
            {"uncached_input_tokens":5,"cache_creation":{"ephemeral_5m_input_tokens":6,"ephemeral_1h_input_tokens":7},
             "cache_read_input_tokens":8,"output_tokens":9,"server_tool_use":{"web_search_requests":1},"model":"m",
             "api_key_id":null,"workspace_id":null,"service_tier":"standard","context_window":"0-200k"}]}]}"#,
    );
    let analytics = read_text(
        r#"{"data":[{"starting_at":"2026-05-01T00:00:00Z","ending_at":"2026-05-02T00:00:00Z","group":{"model":"m"},
            "usage":{"uncached_input_tokens":5,"cache_read_input_tokens":8,"cache_creation":{"ephemeral_5m_input_tokens":6,
            "ephemeral_1h_input_tokens":7},"output_tokens":9,"requests":2,"total_tokens":35}}]}"#,
    );
    assert_eq!(legacy.rows[0].counts, analytics.rows[0].counts);
    assert_eq!(analytics.rows[0].requests, Some(2));
    assert_eq!(analytics.rows[0].names[&Name::Model], "m");
}

#[test]
fn openai_counts_are_floats_and_input_includes_the_cache() {
    let head = "start_time,end_time,start_time_iso,end_time_iso,project_id,num_model_requests,user_id,api_key_id,model,\
                batch,service_tier,input_tokens,output_tokens,input_cached_tokens,input_uncached_tokens";
    let csv = read_text(&format!(
        "{head}\n1777593600,1777680000,a,b,,,,,,,,,,,\n1777680000,1777766400,a,b,p,3.0,u,k,gpt-5,false,,59200.0,10.0,200.0,59000.0\n"
    ));
    assert_eq!((csv.rows.len(), csv.other_rows), (1, 0));
    assert_eq!((csv.rows[0].counts[&Class::Input], csv.rows[0].counts[&Class::CacheRead]), (59_000, 200));
    assert_eq!(csv.rows[0].requests, Some(3));
    let json = read_text(
        r#"{"object":"page","data":[{"object":"bucket","start_time":1777680000,"end_time":1777766400,"results":[
            {"object":"organization.usage.completions.result","input_tokens":59200,"output_tokens":10,
             "input_cached_tokens":200,"num_model_requests":3,"project_id":null,"user_id":null,"api_key_id":null,
             "model":"gpt-5","batch":null,"service_tier":null}]}]}"#,
    );
    assert_eq!(json.rows[0].counts, csv.rows[0].counts);
    let wrong = format!("{head}\n1777680000,1777766400,a,b,p,3,u,k,gpt-5,false,,100,10,200,0\n");
    assert!(fault(&wrong).contains("statement:2: cached input 200"), "{}", fault(&wrong));
}

#[test]
fn openai_costs_name_model_and_class_in_the_line_item() {
    let csv = read_text(
        "start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,line_item,project_id,\
         organization_id,organization_name\n1777680000,1777766400,a,b,0.0612345,usd,\"gpt-4o-mini, input\",p,o,n\n",
    );
    assert_eq!(csv.rows[0].names[&Name::Model], "gpt-4o-mini");
    assert_eq!(csv.rows[0].cost, Some(usd("0.0612345")));
    let json = read_text(
        r#"{"data":[{"object":"bucket","start_time":1777680000,"end_time":1777766400,"results":[{"object":"x",
            "amount":{"value":6.1e-2,"currency":"usd"},"line_item":"gpt-5, output","quantity":1.5,
            "quantity_unit":"1000_tokens","project_id":null}]}]}"#,
    );
    assert_eq!((json.rows[0].cost, json.rows[0].counts[&Class::Output]), (Some(usd("0.061")), 1_500));
}

#[test]
fn github_csv_has_two_sets_of_token_columns() {
    let new = read_text(
        "date,username,product,sku,model,quantity,unit_type,applied_cost_per_quantity,gross_amount,discount_amount,\
         net_amount,total_monthly_quota,organization,repository,cost_center_name,aic_quantity,aic_gross_amount,input,output,\
         cache_read,cache_write\n2026-08-01,u,copilot,s,GPT-5,2,credits,0.04,0.08,0.01,0.07,300,o,r,,8.6,0.0868985999999999,1,2,3,4\n",
    );
    let counts: Vec<u64> = new.rows[0].counts.values().copied().collect();
    assert_eq!((counts, new.rows[0].cost), (vec![1, 3, 4, 2], Some(usd("0.07"))));
    let old =
        read_text("date,sku,model,net_amount,total_input_tokens,total_output_tokens\n2026-06-01,s,GPT-5,0.07,1,2\n");
    assert_eq!(old.rows[0].counts[&Class::Output], 2);
}

#[test]
fn cursor_inputs_are_disjoint_and_the_total_is_a_checksum() {
    let head = "Date,User,Cloud Agent ID,Automation ID,Kind,Model,Max Mode,Input (w/ Cache Write),Input (w/o Cache Write),\
                Cache Read,Output Tokens,Total Tokens,Cost";
    let csv = read_text(&format!(
        "{head}\n\"2026-10-01T10:00:00.120Z\",u,,,Included,gpt-5,No,\"1,200\",1000,5000,300,7500,Included\n"
    ));
    assert_eq!((csv.rows[0].counts[&Class::CacheWrites], csv.rows[0].cost), (1_200, None));
    let wrong =
        fault(&format!("{head}\n2026-10-01T10:00:00.120Z,u,,,Included,gpt-5,No,1200,1000,5000,300,6500,$0.1\n"));
    assert!(wrong.contains("statement:2: column `Total Tokens`: 6500"), "{wrong}");
    let json = read_text(
        r#"{"totalUsageEventsCount":1,"usageEvents":[{"timestamp":"1777680000123","userEmail":"u","model":"gpt-5",
            "kind":"Usage-based","maxMode":false,"requestsCosts":1.5,"isTokenBasedCall":true,"chargedCents":2.5,
            "tokenUsage":{"inputTokens":1,"outputTokens":2,"cacheWriteTokens":3,"cacheReadTokens":4,"totalCents":2.75}}]}"#,
    );
    assert_eq!((json.rows[0].cost, json.rows[0].list_cost), (Some(usd("0.025")), Some(usd("0.0275"))));
    assert_eq!(json.rows[0].start, Timestamp::from_millis(1_777_680_000_123));
}

#[test]
fn openrouter_prompt_tokens_include_the_cache() {
    let csv = read_text(
        "Date,Slug,Usage,BYOK Usage,Requests,Prompt Tokens,Completion Tokens,Reasoning Tokens\n\
         2026-05-01,openai/gpt-5,0.015,0,5,50,125,25\n",
    );
    let json = read_text(
        r#"{"data":[{"date":"2026-05-01","model":"openai/gpt-5","model_permaslug":"x","endpoint_id":"e",
            "provider_name":"OpenAI","usage":0.015,"byok_usage_inference":0,"requests":5,"prompt_tokens":50,
            "completion_tokens":125,"reasoning_tokens":25}]}"#,
    );
    assert_eq!(csv.rows[0].counts, json.rows[0].counts);
    let one = read_text(
        r#"{"data":{"id":"gen-1","created_at":"2026-05-01T10:00:00.1+00:00","model":"m","native_tokens_prompt":10,
            "native_tokens_cached":3,"native_tokens_completion":25,"native_tokens_reasoning":5,"total_cost":0.0015,
            "num_fetches":0,"is_byok":false}}"#,
    );
    assert_eq!((one.rows[0].counts[&Class::Prompt], &*one.rows[0].names[&Name::Id]), (10, "gen-1"));
    let null = read_text(
        r#"{"data":{"id":"gen-1","created_at":"2026-05-01T10:00:00Z","native_tokens_prompt":null,
            "native_tokens_cached":3,"native_tokens_completion":25,"total_cost":0.1}}"#,
    );
    assert_eq!(null.rows[0].counts.keys().collect::<Vec<_>>(), [&Class::Output]);
}

#[test]
fn a_null_part_of_the_input_leaves_only_the_sum() {
    let json = read_text(
        r#"{"data":[{"start_time":1777680000,"end_time":1777766400,"results":[{"input_tokens":100,"output_tokens":1,
            "input_cached_tokens":null,"num_model_requests":1}]}]}"#,
    );
    let counts: Vec<_> = json.rows[0].counts.iter().map(|(class, count)| (*class, *count)).collect();
    assert_eq!(counts, [(Class::Output, 1), (Class::Prompt, 100)]);
}

#[test]
fn a_start_in_seconds_is_no_date() {
    let rows = read_text("start_time,input_tokens,num_model_requests\n1795168800,1,1\n1795172400,1,1\n").rows;
    let times: Vec<_> = rows.iter().map(|row| (row.start, row.end)).collect();
    let hour = |from: &str, to: &str| (time(from), time(to));
    let expected =
        [hour("2026-11-20T10:00:00Z", "2026-11-20T11:00:00Z"), hour("2026-11-20T11:00:00Z", "2026-11-20T12:00:00Z")];
    assert_eq!(times, expected);
}

#[test]
fn an_amount_without_a_currency_is_refused() {
    let head = "ChargePeriodStart,ChargePeriodEnd,BilledCost,ChargeCategory,SkuMeter,ConsumedQuantity,ConsumedUnit";
    let row = |cost: &str| format!("2026-05-01,2026-05-02,{cost},Usage,m output tokens,1,Tokens");
    let missing = fault(&format!("{head}\n{}\n", row("3")));
    assert!(missing.contains("statement:2: column `BillingCurrency` is missing or empty"), "{missing}");
    let empty = fault(&format!("{head},BillingCurrency\n{},\n", row("3")));
    assert!(empty.contains("column `BillingCurrency`"), "{empty}");
    assert_eq!(read_text(&format!("{head}\n{}\n", row("0"))).rows.len(), 1);
}

#[test]
fn a_name_that_occurs_twice_is_an_error_and_null_may_stand_for_an_object() {
    let fields = r#""starting_at":"2026-05-01T00:00:00Z","ending_at":"2026-05-02T00:00:00Z","results":[{"#;
    let usage = r#""uncached_input_tokens":5,"output_tokens":1,"cache_read_input_tokens":0,"#;
    let twice = fault(&format!("{{\"data\":[{{{fields}{usage}\"output_tokens\":2}}]}}]}}"));
    assert!(twice.contains("`output_tokens` occurs twice"), "{twice}");
    let null = read_text(&format!("{{\"data\":[{{{fields}{usage}\"cache_creation\":null}}]}}]}}"));
    assert_eq!(null.rows[0].counts[&Class::Input], 5);
    let other = fault(&format!("{{\"data\":[{{{fields}{usage}\"cache_creation\":7}}]}}]}}"));
    assert!(other.contains("column `cache_creation` is unknown"), "{other}");
}

#[test]
fn cur_counts_in_thousands_and_millions_and_leaves_other_services_out() {
    let cur = read_text(
        "line_item_usage_start_date,line_item_usage_end_date,line_item_usage_type,line_item_usage_amount,\
         line_item_unblended_cost,line_item_currency_code,pricing_unit,line_item_product_code,bill_payer_account_id\n\
         2026-05-01T00:00:00.000Z,2026-05-01T01:00:00.000Z,USE1-Claude4.5Sonnet-input-tokens,1.234,0.0037,USD,1K tokens,x,1\n\
         2026-05-01T00:00:00.000Z,2026-05-01T01:00:00.000Z,USE1-Claude4.5Sonnet-cache-read-input-token-count,2,0.6,USD,1M tokens,x,1\n\
         2026-05-01T00:00:00.000Z,2026-05-01T01:00:00.000Z,USE1-Claude4.5Sonnet-output-tokens-flex,1,0.015,USD,1K tokens,x,1\n\
         2026-05-01T00:00:00.000Z,2026-05-01T01:00:00.000Z,USE1-BoxUsage,1,1,USD,Hrs,x,1\n",
    );
    assert_eq!((cur.rows[0].counts[&Class::Input], cur.rows[1].counts[&Class::CacheRead]), (1_234, 2_000_000));
    assert_eq!((&*cur.rows[0].names[&Name::Model], &*cur.rows[2].names[&Name::Tier]), ("Claude4.5Sonnet", "flex"));
    assert_eq!(cur.other_rows, 1);
    let unit = fault(
        "line_item_usage_start_date,line_item_usage_type,line_item_usage_amount,pricing_unit\n\
         2026-05-01,X-input-tokens,1,1K words\n",
    );
    assert!(unit.contains("statement:2: column `pricing_unit`: `1K words`"), "{unit}");
}

#[test]
fn focus_reads_tokens_in_three_sets_of_columns() {
    for more in ["", ",SkuMeter", ",SkuMeter,HostProviderName,ServiceProviderName"] {
        let cells = match more.matches(',').count() {
            0 => "",
            1 => ",m output tokens",
            _ => ",m output tokens,Amazon,Amazon Web Services",
        };
        let focus = read_text(&format!(
            "ChargePeriodStart,ChargePeriodEnd,BilledCost,BillingCurrency,ChargeCategory,ChargeDescription,\
             ConsumedQuantity,ConsumedUnit,ProviderName,x_Own{more}\n\
             2026-05-01T00:00:00Z,2026-05-02T00:00:00Z,0.03,USD,Usage,m output tokens,2.5,1K Tokens,AWS,1{cells}\n\
             2026-05-01T00:00:00Z,2026-05-02T00:00:00Z,3,USD,Usage,disk,2,GB,AWS,1{cells}\n"
        ));
        assert_eq!((focus.rows[0].counts[&Class::Output], focus.rows.len(), focus.other_rows), (2_500, 1, 1), "{more}");
    }
}

#[test]
fn litellm_spend_logs_are_single_requests() {
    let json = read_text(
        r#"[{"request_id":"r1","call_type":"acompletion","api_key":"h","spend":0.002,"total_tokens":30,"prompt_tokens":10,
            "completion_tokens":20,"startTime":"2026-05-01 10:00:00.125","endTime":"x","model":"gpt-5","metadata":{"a":{}},
            "custom_llm_provider":"openai","request_tags":[],"team_id":null}]"#,
    );
    let row = &json.rows[0];
    assert_eq!(
        (&*row.names[&Name::Id], row.counts[&Class::Output], row.start),
        ("r1", 20, time("2026-05-01T10:00:00.125Z"))
    );
}

#[test]
fn an_unknown_column_and_an_unknown_file_name_their_place() {
    let unknown = fault("Date,Slug,Usage,Prompt Tokens,Surcharge\n2026-05-01,m,1,2,3\n");
    assert!(unknown.contains("statement:1: column `Surcharge` is unknown"), "{unknown}");
    let json = fault(
        "{\"data\":[\n{\"date\":\"2026-05-01\",\"endpoint_id\":\"e\",\"usage\":1,\"prompt_tokens\":1,\n\"fee\":2}]}",
    );
    assert!(json.contains("statement:2: column `fee` is unknown"), "{json}");
    assert!(fault("a,b\n1,2\n").contains("no known statement has these columns (a, b)"));
    assert!(fault("Date,Slug,Usage,Prompt Tokens\n2026-05-01,m,1\n").contains("statement:2"));
    assert!(fault("{\"data\":[").contains("statement:1: not JSON"));
}

#[test]
fn a_repeated_row_is_named_and_not_counted_again() {
    let row = "2026-05-01,m,1,0,5,50,125,25\n";
    let csv = read_text(&format!(
        "Date,Slug,Usage,BYOK Usage,Requests,Prompt Tokens,Completion Tokens,Reasoning Tokens\n{row}{row}"
    ));
    assert_eq!((csv.rows.len(), csv.duplicates), (1, vec![3]));
}

#[test]
fn impossible_times_and_counts_are_errors_with_their_line() {
    let head = "line_item_usage_start_date,line_item_usage_end_date,line_item_usage_type,line_item_usage_amount,pricing_unit\n";
    let backwards = fault(&format!("{head}2026-05-02,2026-05-01,X-input-tokens,1,1K tokens\n"));
    assert!(backwards.contains("statement:2: the row ends at 2026-05-01"), "{backwards}");
    let ancient = fault(&format!("{head}1926-05-02,,X-input-tokens,1,1K tokens\n"));
    assert!(ancient.contains("`1926-05-02` is not a date or a time"), "{ancient}");
    let most = u64::MAX;
    let sum = fault(&format!(
        "start_time,input_tokens,num_model_requests,input_cache_write_30m_tokens,input_cache_write_12h_tokens\n\
         1777593600,1,1,{most},{most}\n"
    ));
    assert!(sum.contains("statement:2: the cache writes are too many tokens"), "{sum}");
}

const USAGE: &str = "usage_date_utc,model_version,usage_input_tokens_no_cache,usage_output_tokens\n2026-05-01,m,5,1\n";

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut packer, text).unwrap();
    packer.finish().unwrap()
}

#[test]
fn gzip_is_unpacked_and_damage_is_an_error() {
    let packed = gzip(USAGE.as_bytes());
    assert_eq!(read("a.csv.gz", &packed).unwrap(), read_text(USAGE));
    // Two members, as some exports have them.
    let (head, row) = USAGE.split_once('\n').unwrap();
    let parts = [gzip(format!("{head}\n").as_bytes()), gzip(row.as_bytes())].concat();
    assert_eq!(read("a.csv.gz", &parts).unwrap(), read_text(USAGE));
    let torn = read("a.csv.gz", &packed[..packed.len() - 5]).unwrap_err().to_string();
    assert!(torn.contains("a.csv.gz: damaged gzip"), "{torn}");
    let zip = read("a.zip", b"PK\x03\x04rest").unwrap_err().to_string();
    assert!(zip.contains("a.zip is a ZIP archive: unpack it first"), "{zip}");
}

#[cfg(feature = "parquet")]
mod of_parquet {
    use std::sync::Arc;

    use ::parquet::basic::{Compression, GzipLevel, ZstdLevel};
    use ::parquet::column::writer::ColumnWriter;
    use ::parquet::data_type::{ByteArray, FixedLenByteArray};
    use ::parquet::file::properties::WriterProperties;
    use ::parquet::file::writer::SerializedFileWriter;
    use ::parquet::schema::parser::parse_message_type;

    use super::*;

    const SCHEMA: &str = "message cur {
        required int64 line_item_usage_start_date (TIMESTAMP(MILLIS,true));
        required binary line_item_usage_type (STRING);
        required double line_item_usage_amount;
        required fixed_len_byte_array(16) line_item_unblended_cost (DECIMAL(38,12));
        optional binary pricing_unit (STRING);
        optional group product (MAP) { repeated group key_value { required binary key (STRING); optional binary value (STRING); } }
    }";

    /// A CUR 2.0 file with two lines: one of tokens, one of a machine.
    fn cur(compression: Compression) -> Vec<u8> {
        let schema = Arc::new(parse_message_type(SCHEMA).unwrap());
        let properties = Arc::new(WriterProperties::builder().set_compression(compression).build());
        let mut writer = SerializedFileWriter::new(Vec::new(), schema, properties).unwrap();
        let mut group = writer.next_row_group().unwrap();
        let texts = |values: &[&str]| values.iter().map(|text| ByteArray::from(*text)).collect::<Vec<_>>();
        let mut column = 0;
        while let Some(mut next) = group.next_column().unwrap() {
            match next.untyped() {
                ColumnWriter::Int64ColumnWriter(out) => out.write_batch(&[1_777_593_600_000; 2], None, None),
                ColumnWriter::DoubleColumnWriter(out) => out.write_batch(&[1.234, 1.0], None, None),
                ColumnWriter::FixedLenByteArrayColumnWriter(out) => {
                    let picos = |usd: i128| FixedLenByteArray::from((usd * 1_000_000_000).to_be_bytes().to_vec());
                    out.write_batch(&[picos(-37), picos(1)], None, None)
                }
                ColumnWriter::ByteArrayColumnWriter(out) => match column {
                    1 => out.write_batch(&texts(&["USE1-Claude4.5Sonnet-input-tokens", "USE1-BoxUsage"]), None, None),
                    4 => out.write_batch(&texts(&["1K tokens"]), Some(&[1, 0]), None),
                    5 => out.write_batch(&texts(&["region"]), Some(&[2, 0]), Some(&[0, 0])),
                    _ => out.write_batch(&texts(&["us-east-1"]), Some(&[3, 0]), Some(&[0, 0])),
                },
                _ => panic!("another type"),
            }
            .unwrap();
            next.close().unwrap();
            column += 1;
        }
        group.close().unwrap();
        writer.into_inner().unwrap()
    }

    #[test]
    fn rows_of_parquet_are_read_in_every_compression() {
        let codecs =
            [Compression::SNAPPY, Compression::GZIP(GzipLevel::default()), Compression::ZSTD(ZstdLevel::default())];
        for compression in codecs {
            let found = read("cur.parquet", &cur(compression)).unwrap();
            let row = &found.rows[0];
            assert_eq!((row.counts[&Class::Input], row.cost, row.line), (1_234, Some(usd("-0.037")), 1));
            assert_eq!((row.start, &*row.names[&Name::Model]), (time("2026-05-01T00:00:00Z"), "Claude4.5Sonnet"));
            assert_eq!((found.rows.len(), found.other_rows), (1, 1));
        }
        let mut torn = cur(Compression::SNAPPY);
        torn.truncate(torn.len() / 2);
        assert!(read("cur.parquet", &torn).unwrap_err().to_string().contains("cur.parquet: unreadable Parquet"));
    }
}

#[test]
fn credits_and_corrections_change_money_and_no_tokens() {
    let cur = read_text(
        "line_item_line_item_type,line_item_usage_start_date,line_item_usage_type,line_item_usage_amount,line_item_unblended_cost,pricing_unit\n\
         Usage,2026-05-01,USE1-M-input-tokens,2,0.4,1K tokens\nCredit,2026-05-01,USE1-M-input-tokens,2,-0.1,1K tokens\n",
    );
    assert_eq!((cur.rows[0].counts[&Class::Input], cur.rows[1].counts.len()), (2_000, 0));
    let focus = read_text(
        "ChargePeriodStart,ChargePeriodEnd,BilledCost,BillingCurrency,ChargeCategory,ChargeClass,SkuMeter,ConsumedQuantity,ConsumedUnit\n\
         2026-05-01,2026-05-02,3,USD,Usage,,USE1-Claude4.5Sonnet-input-tokens,2,1K tokens\n\
         2026-05-01,2026-05-02,-1,USD,Usage,Correction,USE1-Claude4.5Sonnet-input-tokens,2,1K tokens\n\
         2026-05-01,2026-05-02,-1,USD,Credit,,USE1-Claude4.5Sonnet-input-tokens,2,1K tokens\n",
    );
    assert_eq!(focus.rows.iter().map(|row| row.counts.len()).collect::<Vec<_>>(), [1, 0, 0]);
    assert_eq!(focus.rows[0].names[&Name::Model], "Claude4.5Sonnet-input-tokens");
}

#[test]
fn buckets_without_usage_belong_to_the_period() {
    let csv = read_text(
        "start_time,end_time,num_model_requests,model,input_tokens,output_tokens\n\
         1777593600,1777680000,,,,\n1777680000,1777766400,1,gpt-5,5,1\n1777766400,1777852800,,,,\n",
    );
    assert_eq!(csv.period, Some((time("2026-05-01T00:00:00Z"), time("2026-05-04T00:00:00Z"))));
    let json = read_text(
        r#"{"data":[{"starting_at":"2026-05-01T00:00:00Z","ending_at":"2026-05-02T00:00:00Z","results":[]},
            {"starting_at":"2026-05-02T00:00:00Z","ending_at":"2026-05-03T00:00:00Z","results":[
            {"uncached_input_tokens":5,"output_tokens":9,"model":"m"}]}]}"#,
    );
    assert_eq!(json.period, Some((time("2026-05-01T00:00:00Z"), time("2026-05-03T00:00:00Z"))));
}

#[test]
fn rows_of_teams_are_refused_and_actors_are_users() {
    let row = |group: &str| {
        format!(
            r#"{{"data":[{{"starting_at":"2026-05-01T00:00:00Z","ending_at":"2026-05-02T00:00:00Z","group":{{"model":"m",{group}}},"usage":{{"uncached_input_tokens":5}}}}]}}"#
        )
    };
    let refused = fault(&row(r#""rbac_group_id":"g""#));
    assert!(refused.contains("rows of teams overlap"), "{refused}");
    let actor = read_text(&row(r#""actor":{"type":"user","email_address":"a@b.example"}"#));
    assert_eq!(actor.rows[0].names[&Name::User], "a@b.example");
}
