//! One call from flags or from a provider's response, for `record` and `settle`.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::PossibleValuesParser;

use super::context::Context;
use super::input_lines;
use super::record_flags::{CountArgs, NameArgs};
use crate::api::call::{complete_nested, formats, from_response, nested_key};
use crate::model::error::Error;
use crate::model::event::{EventData, TokenRecord};
use crate::model::provider::ProviderId;
use crate::model::time::Timestamp;
use crate::present::failure::Failure;

/// Maximum size of a response in bytes.
const LONGEST_RESPONSE: u64 = 64 << 20;

/// Options that describe one call.
#[derive(Args, Clone, Debug)]
pub(crate) struct CallArgs {
    /// Read the usage from a response of this API: a body, a usage object, or a stream
    ///
    /// agent-output reads the output of an agent's run (a result, or turns): one document,
    /// or lines, where a later total replaces an earlier one and turns are summed. A result with several models yields
    /// one record per model; agent-output-total yields one record, of the most expensive model. They need --provider if
    /// the output does not name the provider.
    #[arg(long, value_parser = PossibleValuesParser::new(formats()), conflicts_with = "CountArgs")]
    format: Option<String>,
    /// The file with the response; - is stdin
    #[arg(value_name = "FILE", default_value = "-", requires = "format")]
    response: PathBuf,
    /// A unique name of this call at the provider, for example its message id
    #[arg(long)]
    key: Option<String>,
    /// When the call ended [default: now]
    #[arg(long, value_name = "RFC3339", value_parser = crate::present::clock::instant)]
    pub occurred_at: Option<Timestamp>,
    /// The program that reports the call [default: cli]
    #[arg(long, value_name = "NAME", default_value = "cli", hide_default_value = true)]
    pub source: String,
    #[command(flatten)]
    counts: CountArgs,
    #[command(flatten)]
    names: NameArgs,
}

impl CallArgs {
    /// Returns the record of the call, and those of nested calls. `reserved` is the provider of the reservation; it
    /// served the call unless a flag names another provider.
    pub fn records(
        &self,
        reserved: Option<&ProviderId>,
        context: &Context,
    ) -> Result<(TokenRecord, Vec<TokenRecord>), Failure> {
        let served = self.names.provider.as_ref().or(reserved);
        let (record, mut nested) = if let Some(format) = &self.format {
            from_response(format, &response(&self.response, context)?, served)?
        } else {
            let provider = served.ok_or_else(|| {
                Failure::usage("who served the tokens? Give --provider, or --format for a response, or --jsonl")
            })?;
            (TokenRecord::new(provider.as_str(), ""), Vec::new())
        };
        let record = self.complete(record, self.key.clone())?;
        for (place, inner) in nested.iter_mut().enumerate() {
            let key = self.key.as_deref().map(|key| nested_key(key, place));
            *inner = complete_nested(inner, |record| self.complete(record, key))?;
        }
        Ok((record, nested))
    }

    /// Adds the values of the flags to a record.
    fn complete(&self, mut record: TokenRecord, key: Option<String>) -> Result<TokenRecord, Failure> {
        self.counts.apply(&mut record);
        self.names.apply(&mut record);
        record.attribute_to_server();
        if let Some(key) = key {
            // The response's own id remains a key of the record.
            record.put_keys(vec![key]);
        }
        record.validate()?;
        Ok(record)
    }
}

fn response(path: &Path, context: &Context) -> Result<String, Failure> {
    let mut text = String::new();
    let mut limited = input_lines::open(path, context)?.take(LONGEST_RESPONSE + 1);
    limited.read_to_string(&mut text).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    if text.len() as u64 > LONGEST_RESPONSE {
        return Err(Failure::usage(format!("the response is longer than {LONGEST_RESPONSE} bytes")));
    }
    Ok(text)
}
