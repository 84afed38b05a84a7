//! Classes written in each API's format are read as the same classes.

use proptest::prelude::*;
use serde_json::json;
use usage_ledger::Tokens;
use usage_ledger::event::Quality;

use crate::normalise::read;

/// Counts, often zero.
fn count() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 1..10_u64, 1..10_000_000_u64]
}

proptest! {
    #[test]
    fn every_api_round_trips(
        input in count(), read_ in count(), w5m in count(), w1h in count(), write in count(),
        output in count(), thought in count(),
    ) {
        let prompt = input + read_ + write;
        let completion = output + thought;
        let total = prompt + completion;
        let one_write = Tokens {
            input: Some(input),
            cache_read: Some(read_),
            cache_write: Some(write),
            output: Some(output),
            reasoning: Some(thought),
            ..Tokens::default()
        };
        let no_write = Tokens { cache_write: None, ..one_write };
        let split = Tokens {
            cache_write_5m: Some(w5m),
            cache_write_1h: Some(w1h),
            cache_write: Some(write).filter(|n| *n > 0),
            ..one_write
        };
        let chat = json!({
            "prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total,
            "prompt_tokens_details": {"cached_tokens": read_, "cache_write_tokens": write},
            "completion_tokens_details": {"reasoning_tokens": thought},
        });
        let cases = [
            ("anthropic", split, json!({
                "input_tokens": input, "cache_read_input_tokens": read_, "cache_creation_input_tokens": w5m + w1h + write,
                "cache_creation": {"ephemeral_5m_input_tokens": w5m, "ephemeral_1h_input_tokens": w1h},
                "output_tokens": completion, "output_tokens_details": {"thinking_tokens": thought},
            })),
            ("openai-chat", one_write, chat.clone()),
            ("mistral", one_write, chat),
            ("openai-responses", one_write, json!({
                "input_tokens": prompt, "output_tokens": completion, "total_tokens": total,
                "input_tokens_details": {"cached_tokens": read_, "cache_write_tokens": write},
                "output_tokens_details": {"reasoning_tokens": thought},
            })),
            ("codex", one_write, json!({
                "input_tokens": prompt, "cached_input_tokens": read_, "cache_write_input_tokens": write,
                "output_tokens": completion, "reasoning_output_tokens": thought, "total_tokens": total,
            })),
            ("gemini", no_write, json!({
                "promptTokenCount": input + read_, "cachedContentTokenCount": read_, "candidatesTokenCount": output,
                "thoughtsTokenCount": thought, "totalTokenCount": input + read_ + completion,
            })),
            ("xai", no_write, json!({
                "prompt_tokens": input + read_, "completion_tokens": output, "total_tokens": input + read_ + completion,
                "prompt_tokens_details": {"cached_tokens": read_},
                "completion_tokens_details": {"reasoning_tokens": thought},
            })),
            ("deepseek", no_write, json!({
                "prompt_tokens": input + read_, "prompt_cache_hit_tokens": read_, "prompt_cache_miss_tokens": input,
                "completion_tokens": completion, "total_tokens": input + read_ + completion,
                "completion_tokens_details": {"reasoning_tokens": thought},
            })),
            ("bedrock", Tokens { reasoning: None, ..split }, json!({
                "inputTokens": input, "outputTokens": output, "cacheReadInputTokens": read_,
                "cacheWriteInputTokens": w5m + w1h + write, "totalTokens": input + read_ + w5m + w1h + write + output,
                "cacheDetails": [{"ttl": "5m", "inputTokens": w5m}, {"ttl": "1h", "inputTokens": w1h}],
            })),
        ];
        for (format, expected, object) in cases {
            let normalised = read(format, &object.to_string());
            prop_assert_eq!(normalised.tokens, expected, "{} {}", format, object);
            prop_assert_eq!(normalised.quality, Quality::Reported);
        }
    }

    #[test]
    fn no_count_is_clamped(
        prompt in count(), cached in count(), completion in count(), thought in count(), total in proptest::option::of(count()),
    ) {
        let object = json!({
            "prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total,
            "prompt_tokens_details": {"cached_tokens": cached},
            "completion_tokens_details": {"reasoning_tokens": thought},
        }).to_string();
        for format in ["openai-chat", "mistral", "deepseek", "xai"] {
            let Ok(read) = usage_ledger::normalise::usage(format.parse().unwrap(), &object) else { continue };
            let tokens = read.tokens;
            // Details keep their stated counts, and a mismatching total is flagged.
            prop_assert_eq!((tokens.cache_read, tokens.reasoning), (Some(cached), Some(thought)));
            let (input, output) = (tokens.input.unwrap(), tokens.output.unwrap());
            prop_assert!(input == prompt || input + cached == prompt);
            prop_assert!(output == completion || output + thought == completion);
            if let Some(total) = total.filter(|total| *total != tokens.total().unwrap()) {
                let residual_text = read.residual.unwrap();
                let named = residual_text.contains(&format!("total {total} but parts sum to"));
                prop_assert!(named, "{}", residual_text);
            }
        }
    }
}
