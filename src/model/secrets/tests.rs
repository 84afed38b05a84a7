use super::*;

#[test]
fn all_expressions_compile() {
    assert!(HINTS.is_some() && FORMS.is_some() && RUNS.is_some());
}

#[test]
fn secrets_of_aws_keys_are_removed_beside_their_ids_and_as_ids() {
    let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEK3Y";
    let plain = "wJalrXUtnFEMIaK7MDENGabPxRfiCYEXAMPLEK3Y";
    for text in [format!("AKIAIOSFODNN7EXAMPLE {secret}"), format!("{plain},AKIAIOSFODNN7EXAMPLE")] {
        assert!(!name(&text).contains("MDENG"), "{}", name(&text));
    }
    assert_eq!(name(plain), plain, "an ordinary id");
    #[cfg(feature = "import")]
    {
        assert!(id(secret).starts_with("redacted-"), "{}", id(secret));
        for ordinary in [plain, "5b8efff798038103d269b633813fc60cabcdef01", "home/me/Projects/2026/Acme-Inc/src/Main1"]
        {
            assert_eq!(id(ordinary), ordinary);
        }
    }
}

#[test]
fn a_token_that_only_its_lengths_distinguish_is_removed() {
    let token = "MTA4ODc2NTQzMjEwOTg3NjU0.GhIjKl.a1B2c3D4e5F6g7H8i9J0k1L2m3N";
    assert_eq!(token.len(), 59, "the shortest of its form");
    assert_eq!(name(token), REDACTED);
    assert_eq!(name(&format!("bot-{token}.log")), "bot-[redacted].log");
    for ordinary in ["src/model/secrets.tests.rs", &"dir.d/".repeat(12)] {
        assert_eq!(name(ordinary), ordinary);
    }
}

#[test]
fn credentials_of_many_shapes_are_removed() {
    let tail = "Ab3dEf6hIj9lMn2pQr5tUv8x";
    let issued = [
        "sk-ant-api03-",
        "sk-proj-",
        "sk-or-v1-",
        "sk-",
        "sk_live_",
        "rk_test_",
        "ghp_",
        "gho_",
        "ghs_",
        "github_pat_",
        "glpat-",
        "xoxb-1234-",
        "xoxp-",
        "AIza",
        "xai-",
        "gsk_",
        "hf_",
        "r8_",
        "pplx-",
        "nvapi-",
        "npm_",
        "pypi-",
        "ya29.",
        "GOCSPX-",
        "hvs.",
        "whsec_",
        "eyJhbGciOi.",
        "secret_",
        "tskey-auth-",
        "tvly-dev-",
        "sbp_",
        "sb_secret_",
        "csk-",
        "glsa_",
        "https://hooks.slack.com/services/T00000000/B00000000/",
        "https://discord.com/api/webhooks/123456789012345678/",
    ];
    for prefix in issued {
        for text in [
            format!("{prefix}{tail}"),
            format!("/home/me/{prefix}{tail}/x"),
            format!("model {prefix}{tail}, next"),
            format!("\\n{prefix}{tail}"),
            format!("id_{prefix}{tail}"),
        ] {
            let scrubbed = name(&text);
            assert!(!scrubbed.contains(tail) && !scrubbed.contains("Ab3dEf6h"), "{text}: {scrubbed}");
        }
    }
    for secret in [
        "AKIAIOSFODNN7EXAMPLE",
        "ASIAIOSFODNN7EXAMPLE",
        "Bearer abcdefgh",
        "bearer 1234-5678-90",
        "Basic dXNlcjpwYXNz",
        "Authorization: Token hunter2hunter2",
        "authorization=hunter2",
        "\"Authorization\": \"Bearer abcdef\"",
        "Cookie: sid=hunter2; theme=dark",
        "password=hunter2",
        "password: \"hunter2 hunter2\"",
        "\"api_key\": \"hunter2\"",
        "{\\\"apiKey\\\":\\\"hunter2\\\"}",
        "OPENAI_API_KEY=hunter2",
        "--token=hunter2",
        "db_passwd => hunter2",
        "client_secret=hunter2&x=1",
        "https://x.example/?sig=hunter2&a=b",
        "X-Amz-Signature=hunter2",
        "AccountKey=hunter2;End",
        "https://me:hunter2@example.com/x",
        "postgres://me:hun/ter2@db/x",
        "https://hunter2hunter2@example.com",
        "123456789:AAhunter2hunter2hunter2hunter2hunter2",
        "-----BEGIN RSA PRIVATE KEY-----\nhunter2\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2 cut off",
    ] {
        let scrubbed = name(secret);
        let parts = ["hunter2", "IOSFODNN", "abcdef", "5678", "dXNl", "ter2"];
        assert!(
            scrubbed.contains(REDACTED) && parts.iter().all(|part| !scrubbed.contains(part)),
            "{secret}: {scrubbed}"
        );
    }
}

#[test]
fn every_form_of_an_issuer_is_removed_from_a_name() {
    use proptest::strategy::{Strategy, ValueTree};
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut missed = Vec::new();
    for form in ISSUED.iter().chain(WORDED) {
        let ascii = form.replace(r"\w", "0-9A-Za-z_").replace(r"\d", "[0-9]").replace(r"\b", "");
        // A class of its own is written without brackets.
        let ascii = ascii.replace("[[0-9]", "[0-9").replace("/0-9A-Za-z_{", "/[0-9A-Za-z_]{");
        let strategy = proptest::string::string_regex(&ascii).unwrap_or_else(|e| panic!("{form}: {e}"));
        for _ in 0..50 {
            let secret = strategy.new_tree(&mut runner).unwrap().current();
            if !has_hint(&secret) || !name(&secret).contains(REDACTED) {
                missed.push(format!("{form}: {secret}"));
            }
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn credentials_of_further_issuers_are_removed() {
    let tail = "Ab3dEf6hIj9lMn2pQr5tUv8xHunter2Yz4aB7cD0eF3gH6iJ";
    let hex = "0123456789abcdef0123456789abcdef";
    for secret in [
        format!("ABSK{tail}="),
        format!("bedrock-api-key-{tail}"),
        format!("{hex}.Hunter2Hunter2Hu"),
        format!("pcsk_2abcd_{tail}"),
        format!("pa-{tail}"),
        format!("sk_{hex}0123456789abcdef"),
        format!("crsr_{hex}{hex}"),
        format!("key_{hex}{hex}"),
        format!("fk-{tail}"),
        format!("sgamp_user_{tail}"),
        format!("sgp_0123456789abcdef_{hex}01234567"),
        format!("wk-1.{tail}"),
        format!("rpa_{tail}"),
        format!("bce-v3/ALTAK-{tail}/{hex}"),
        format!("AQ.Ab8{tail}"),
        format!("pul-{hex}01234567"),
        format!("sl.u.{tail}"),
        format!("Ab3dEf6hIj9lMn.atlasv1.{tail}"),
        format!("hvb.{tail}"),
        format!("hvr.{tail}"),
        format!("lin_oauth_{tail}"),
        format!("sntryu_{hex}"),
        format!("glimt-{tail}"),
        format!("glffct-{tail}"),
        format!("shippo_test_{tail}"),
        format!("pscale_oauth_{tail}"),
        format!("LTAI{tail}"),
        format!("AKID{tail}"),
        format!("ATATT3x{tail}"),
        format!("ATBB{tail}"),
        format!("dp.pt.{tail}"),
        format!("abc8Q~{tail}"),
        "NRAK-HUNTER2HUNTER2HUNTER2HUN".to_owned(),
        format!("HRKU-{tail}"),
        format!("sq0csp-{tail}"),
        format!("ls__{hex}"),
        format!("CCIPAT_{tail}"),
        format!("patAb3dEf6hIj9lMn.{hex}{hex}"),
    ] {
        for text in [
            secret.clone(),
            format!("/home/me/{secret}/x"),
            format!("model {secret}, next"),
            format!("q%20{secret}"),
            format!("key%3D{secret}"),
            format!("\u{1b}[31m{secret}\u{1b}[0m"),
            format!("a\\u001b[1m{secret}"),
            format!("a\\u003d{secret}"),
        ] {
            let scrubbed = name(&text);
            assert!(scrubbed.contains(REDACTED), "{text}: {scrubbed}");
            for part in ["unter2", "UNTER2", "cdef0123"] {
                assert!(!scrubbed.contains(part), "{text}: {scrubbed}");
            }
        }
    }
}

#[test]
fn pairs_options_and_tags_are_removed() {
    for secret in [
        "AZURE_OPENAI_KEY=hunter2",
        "export DEEPGRAM_KEY='hunter2'",
        "https://x.example/v1?key=hunter2&a=b",
        "openaiKey: \"hunter2\"",
        "jwt=hunter2",
        "sessionid=hunter2; a",
        "run --api-key hunter2",
        "run --password hunter2 --model m",
        "run --github-token \"hunter2 hunter2\"",
        "curl -u me:hunter2 https://x.example",
        "curl --user me:hunter2",
        "<password>hunter2 hunter2</password>",
        "<x:api-key>hunter2</x:api-key>",
        "password%3Dhunter2",
        "postgres%3A%2F%2Fme%3Ahunter2%40db",
        "x=postgres%3a%2f%2fhunter2hunter2%40db%2Fx",
        // A pair that is kept does not hide what follows.
        "tokens: Bearer hunter2hunter2",
        "primary key: Bearer hunter2hunter2",
        "cache_key=sk-ant-api03-hunterhunter2",
    ] {
        let scrubbed = name(secret);
        assert!(scrubbed.contains(REDACTED) && !scrubbed.contains("unter2"), "{secret}: {scrubbed}");
    }
    for ordinary in [
        "primary key: id",
        "sort_key=created",
        "sessionId: 412a48bb-5183-459d-ba43-214d8a16dcc1",
        "cache_key: 412a48bb-5183-459d-ba43-214d8a16dcc1",
        "<synthetic>",
        "<tokens>5</tokens>",
        "<design>blue</design>",
        "docker run -u 1000:1000",
        "use --max-tokens 500",
        "100%25 of 5%",
        "C:/Users/me/%40scope/x",
        "https%3A%2F%2Fhost%3A8080%2Fa%40v2",
        "spa-demo-of-a-very-long-project-name-with-many-words",
        "pa-project-of-a-very-long-name-with-many-words-in-it",
        "/usr/share/openssl.conf.d/sl.of-a-very-long-name-with-many-words-in-it",
        "d41d8cd98f00b204e9800998ecf8427e.jsonl",
        "assets/d41d8cd98f00b204e9800998ecf8427e.min.js.map",
    ] {
        assert_eq!(name(ordinary), ordinary);
    }
}

#[test]
fn many_pairs_are_searched_in_linear_time() {
    let start = std::time::Instant::now();
    for text in [
        "k-key=".repeat(50_000),
        "sigma=".repeat(50_000),
        "sigma:".repeat(50_000),
        "fw_a_".repeat(50_000),
        "tokens=".repeat(50_000),
        "<token>".repeat(50_000),
        "-u a:".repeat(50_000),
    ] {
        name(&text);
    }
    assert!(start.elapsed().as_secs() < 60);
}

#[test]
fn random_strings_are_removed_from_free_text_and_ordinary_words_stay() {
    for random in [
        "Zm9vYmFyQmF6UXV4MTIzNDU2Nzg5",
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822c",
        "q7r2x9k4m1p8w3z6t5v0n2b7",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    ] {
        assert!(!text(&format!("a {random} b")).contains(random), "{random}");
    }
    for ordinary in [
        "claude-opus-4-5-20251101",
        "accounts/fireworks/models/llama-v3p1-405b-instruct",
        "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-4-20250514-v1:0",
        "/home/me/Projects/MyGreatApplicationWithALongName2024",
        "019a0000-0000-7000-8000-00000000c0de",
        "unknown shape: `output_tokens` is no whole number from 0",
        "requests without token counts: 3",
        "input_tokens: 12, total_tokens=34",
        "max_tokens: many",
        "token: 12",
        "basic instructions",
        "a task-or-something, desk-admin-interface-redesign",
        "sk-learn-project",
        "vercel_marketing_website_of_2026",
        "/home/dev/fc-barcelona-fan-page-2024-rewrite",
        "/home/dev/.git/hooks/pre-commit",
        "author: me",
        "ssh://git@github.com/x/y",
        "http://localhost:4318/v1/logs",
        "user@example.com",
        "2026-11-23T19:58:11.407Z",
    ] {
        assert_eq!(text(ordinary), ordinary);
    }
}

#[test]
fn a_binary_string_is_removed() {
    let key = "sk-ant-api03-Ab3dEf6hIj9lMn2pQr5tUv8x";
    let half = format!(r#"{{"note":"\ud800 {key}","input":3}}"#);
    assert_eq!(json(&half), r#"{"note":"[redacted]","input":3}"#);
}

#[test]
fn json_is_unchanged_except_for_secrets_and_long_strings() {
    let plain = r#"{"a":1.0e+05,"service_tier":"standard","b":["x","\u00e9\"y"],"tokens":{"input_tokens":3}}"#;
    assert!(matches!(json(plain), Cow::Borrowed(_)));
    let secret =
        r#"{"n":1.10,"k":"sk-ant-api03-abcdefgh","e":"a\nsk-ant-api03-\u0061bcdefgh","sk-ant-api03-abcdefgh":2}"#;
    assert_eq!(json(secret), r#"{"n":1.10,"k":"[redacted]","e":"a\n[redacted]","[redacted]":2}"#);
    let long = format!(r#"{{"text":"{}"}}"#, "é ".repeat(200));
    let scrubbed: serde_json::Value = serde_json::from_str(&json(&long)).unwrap();
    let scrubbed = scrubbed["text"].as_str().unwrap();
    assert!(scrubbed.len() <= LONGEST && scrubbed.ends_with("… [cut: 600 bytes]"), "{scrubbed}");
    assert_eq!(json(&json(&long)), json(&long));
    for broken in ["\"", "{\"a", "\"\\", ""] {
        assert_eq!(json(broken), broken);
    }
}

#[cfg(feature = "import")]
#[test]
fn different_ids_stay_different() {
    assert_eq!(id("msg_01AbCdEfGhIjKlMnOpQrStUv"), "msg_01AbCdEfGhIjKlMnOpQrStUv");
    let (a, b) = (id("sk-ant-api03-abcdefgh1"), id("sk-ant-api03-abcdefgh2"));
    assert!(a.starts_with("redacted-") && a != b && id(&a) == a);
}

#[test]
fn a_word_that_contains_the_name_of_a_credential_is_none() {
    for ordinary in [
        "sigma:7b",
        "compass:13b",
        "design:latest",
        "tokenizer:my-own",
        "passion-llm:8b",
        "secretary:8b",
        "vendor/signal-8b:free",
        "google/SigLIP:so400m",
        "hf.co/x/Sigma-7B-GGUF:Q4_K_M",
        "super-token-8b:latest",
        "auth-model:70b-instruct-q4_K_M",
        "secret-llm:IQ2_XXS",
        "token-lm:1.5b",
        "auth:v1",
        "/home/me/design=v2",
        "assigned to: Alice",
        "a passing test: 3",
        "surpass = Hunter2",
        "passwordless: login",
        "author: Alice1, authors: Bob2",
        "token_type=bearer, tokenUsage: 12",
    ] {
        assert_eq!(name(ordinary), ordinary);
    }
    for secret in [
        "accesstoken=hunter2",
        "authToken: hunter2",
        "XApiKey=hunter2",
        "APIkey: hunter2",
        "smtpPass=hunter2",
        "DB_PASS=hunter2",
        "dbpass=hunter2",
        "PGPASSWORD=hunter2",
        "secret_access_key: hunter2",
        "session-key: hunter2",
        "token2=hunter2",
        "PASSWORD_DB=hunter2",
        "tokenFile=hunter2",
        "x-authorization-code: hunter2",
        "oauth2: hunter2",
        "author_token: hunter2",
        "a\\npass=hunter2",
        "a\\u0026sig=hunter2",
        "a%26pass=hunter2",
        "\u{1b}[31mpass=hunter2",
        "model:password=hunter2",
        "token:hunter2",
        "password:p4ss-hunter2",
    ] {
        let scrubbed = name(secret);
        assert!(scrubbed.contains(REDACTED) && !scrubbed.contains("unter2"), "{secret}: {scrubbed}");
    }
}

#[test]
fn names_of_words_behind_a_prefix_of_an_issuer_stay() {
    for ordinary in [
        "/home/me/fw_update_bootloader",
        "/home/me/fw_sensor_calibration",
        "/home/me/hf_models/llama3/chat",
        "/home/me/npm_workspace_frontend",
        "/home/me/vcp_controller_firmware",
        "/home/me/phx_umbrella_project_api",
        "/home/me/sk-2024-website-redesign",
        "/home/me/xai-grok-experiments",
        "/home/me/pypi-package-publisher-tool",
        "/home/me/secret_SantaPlanner2024_web",
        "bedrock-api-key-rotation-service",
        "xapp-settings-panel",
    ] {
        assert_eq!(name(ordinary), ordinary);
    }
    let tail = "Ab3dEf6hIj9lMn2pQr5tUv8x";
    for secret in [
        format!("hf_models_sk-ant-api03-{tail}"),
        format!("fw_update_bootloader/gsk_{tail}"),
        format!("npm_workspace_{tail}"),
        "fw_sensor_calibration_sk-ant-api03-abcdefgh".to_owned(),
        "hf_abcdefghijklmnopqrstuvwxyzabcdefgh".to_owned(),
        "sk-0123abcd-4567-89ef-0123-456789abcdef".to_owned(),
    ] {
        let scrubbed = name(&secret);
        let is_kept = ["Ab3d", "abcd", "api03"].iter().any(|part| scrubbed.contains(part));
        assert!(scrubbed.contains(REDACTED) && !is_kept, "{secret}: {scrubbed}");
    }
}

#[cfg(feature = "import")]
#[test]
fn different_projects_and_models_stay_different() {
    for rule in [path, model] {
        let (a, b) = (rule("token=hunter2"), rule("token=hunter3"));
        assert!(a.starts_with(REDACTED) && a != b && rule(&a) == a && !a.contains("hunter"), "{a} {b}");
    }
}

#[test]
fn a_message_keeps_its_prose_and_loses_credentials() {
    for prose in [
        "a limit must be at least 1 token: declare a provider without a quota unmetered instead",
        "/etc/ledger/token: No such file or directory (os error 2); check the path",
        "there is no key in secret: make one with `usage-ledger key new`",
        "auth:3: column `model` is unknown",
        "`token`: must be a text",
        "cannot read secret: `usage-ledger key new secret` makes one",
    ] {
        assert_eq!(message(prose), prose);
    }
    for secret in [
        "`password: swordfish` is not a time",
        "unknown field `token: swordfish, x`",
        "token: hunter2swordfish",
        "password=swordfish",
        "line 1: the text `a secret: swordfish` is long: cut it",
    ] {
        assert!(!message(secret).contains("swordfish"), "{secret}: {}", message(secret));
    }
}

/// The string literals of a source before its tests.
fn literals(source: &str) -> Vec<String> {
    let code = source.split("#[cfg(test)]").next().unwrap_or_default();
    let lines: Vec<&str> = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let code = lines.join("\n");
    let quoted = Regex::new(r#"[^'\\r#]"((?:[^"\\]|\\(?s:.))*)""#).unwrap();
    let joined = Regex::new(r"\\\n\s*").unwrap();
    let plain = |text: &str| joined.replace_all(text, "").replace("\\\"", "\"").replace("{{", "{").replace("}}", "}");
    quoted.captures_iter(&code).map(|found| plain(&found[1])).collect()
}

#[test]
fn messages_of_this_program_stay() {
    let mut directories = vec![std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let (mut changed, mut seen) = (Vec::new(), 0);
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let file = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|end| end == "rs")
                && !file.ends_with("tests.rs")
                && file != "secrets.rs"
            {
                let source = std::fs::read_to_string(&path).unwrap();
                let messages = literals(&source).into_iter().filter(|text| {
                    // Help, headers with tokens of the user, and code between two literals are no messages.
                    text.contains(' ')
                        && !["Examples:", "Bearer", " fn ", "\nfn "].iter().any(|part| text.contains(part))
                });
                for text in messages {
                    seen += 1;
                    if message(&text) != text {
                        changed.push(format!("{file}: {text} -> {}", message(&text)));
                    }
                }
            }
        }
    }
    assert!(seen > 3_000, "{seen}");
    assert!(changed.is_empty(), "{changed:#?}");
}

#[test]
fn a_field_of_a_usage_object_loses_its_value_if_its_name_is_that_of_a_credential() {
    let usage = r#"{"prompt_tokens":1,"api_key":"Hunter2xY9","auth":{"password":"Hunter2xY9","by":["Hunter2"],"n":1},
        "cookie": "sid=Hunter2; a","p\u0061ssword" : "Hunter2","secret":1234,"set-cookie":"a=Hunter2","x-authorization":"Hunter2 b",
        "token":5,"jwt":null,"passed":"yes","design":"blue","token_type":"audio","tokenUsage":{"kind":"text"},
        "cached_tokens_details":{"text_tokens":3,"kind":"a"},"cache_key":"412a48bb-5183-459d-ba43-214d8a16dcc1"}"#;
    let scrubbed = json(usage);
    assert!(!scrubbed.contains("unter2"), "{scrubbed}");
    let value: serde_json::Value = serde_json::from_str(&scrubbed).unwrap();
    let auth = serde_json::json!({"password": REDACTED, "by": [REDACTED], "n": 1});
    assert_eq!((&value["api_key"], &value["auth"], &value["secret"]), (&REDACTED.into(), &auth, &REDACTED.into()));
    let kept = &usage[usage.find("\"token\":5").unwrap()..];
    assert!(scrubbed.ends_with(kept), "{scrubbed}");
    assert_eq!(json(&scrubbed), scrubbed);
    let deep = format!("{}1{}", "{\"auth_x\":{\"token_usage\":".repeat(20_000), "}}".repeat(20_000));
    assert_eq!(json(&deep), deep);
    let deep = format!("{}\"Hunter2\"{}", "{\"auth\":".repeat(50_000), "}".repeat(50_000));
    assert!(!json(&deep).contains("Hunter2"));
    for broken in [r#"{"password":"#, r#"{"password":"x"#, r#"{"auth":{"a":"b"#, r#"{"auth": ["#] {
        json(broken);
    }
}
