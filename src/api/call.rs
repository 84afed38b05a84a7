//! Parses one call from a program: the fields of a record, or a provider's response with additional fields.

use serde_json::value::RawValue;

use super::input::named;
use super::json_line::{JsonLine, LineFields, read};
use crate::model::error::{Error, Result};
use crate::model::event::{EventData, EventId, Quality, TokenRecord};
use crate::model::provider::ProviderId;
use crate::model::time::Timestamp;
use crate::model::tokens::TokenClass;
use crate::readers::normalise::agent::{self, Turns};
use crate::readers::normalise::{self, UsageFormat};

/// Format name of the output of an agent's run.
pub(crate) const AGENT_OUTPUT: &str = "agent-output";
/// The same, with all models of a run recorded under the most expensive one.
const AGENT_TOTAL: &str = "agent-output-total";

/// Lists every format that [`from_response`] parses.
pub(crate) fn formats() -> Vec<&'static str> {
    UsageFormat::ALL.map(UsageFormat::name).into_iter().chain([AGENT_OUTPUT, AGENT_TOTAL]).collect()
}

/// Parses a response into its record, and the records of other models that answered in it. `served` is the provider, if
/// known: other providers serve responses of the same API. Credentials are removed.
pub(crate) fn from_response(
    format: &str,
    text: &str,
    served: Option<&ProviderId>,
) -> Result<(TokenRecord, Vec<TokenRecord>)> {
    let mut records = match format {
        AGENT_OUTPUT => agent_output(text, served)?,
        AGENT_TOTAL => vec![agent_total(text, served)?],
        format => normalise::calls(format.parse()?, text)?,
    };
    records.iter_mut().for_each(TokenRecord::scrub);
    if let Some(provider) = served {
        for record in &mut records {
            record.provider = provider.as_str().to_owned().into();
        }
    }
    let mut records = records.into_iter();
    let record = records.next().ok_or_else(|| Error::invalid("this response states no call"))?;
    Ok((record, records.collect()))
}

/// Derives the key of a nested call from the caller's `key`.
pub(crate) fn nested_key(key: &str, place: usize) -> String {
    format!("{key}/{}", place + 1)
}

/// Completes the record of a nested call. Model, cost and duration in the input are those of the outer call, so they
/// are not copied.
pub(crate) fn complete_nested<E>(
    nested: &TokenRecord,
    complete: impl FnOnce(TokenRecord) -> std::result::Result<TokenRecord, E>,
) -> std::result::Result<TokenRecord, E> {
    let mut record = complete(nested.clone())?;
    (record.model, record.cost, record.duration_ms) = (nested.model.clone(), nested.cost, nested.duration_ms);
    Ok(record)
}

/// Returns the provider of an agent's output.
fn server<'p>(provider: Option<&'p ProviderId>, format: &str, model: Option<&str>) -> Result<&'p str> {
    let of_agent = || match format {
        // This client can use models of other providers.
        "claude" => model.is_some_and(|model| model.starts_with("claude")).then_some("anthropic"),
        _ => UsageFormat::ALL.iter().find(|known| known.name() == format).map(|known| known.provider()),
    };
    let server = provider.map(ProviderId::as_str).or_else(of_agent);
    server.ok_or_else(|| Error::invalid("this output does not name the provider: give --provider"))
}

/// Returns the calls of a run: one per model, if the output states counts per model.
fn agent_output(text: &str, provider: Option<&ProviderId>) -> Result<Vec<TokenRecord>> {
    let runs = agent::extract_models(text)?;
    if runs.is_empty() {
        return Ok(vec![agent_total(text, provider)?]);
    }
    // Claude Code can use other models than Anthropic's. The provider of a run serves all its models.
    let claude = runs.iter().map(|run| run.model.as_str()).find(|model| model.starts_with("claude"));
    let server = server(provider, "claude", claude)?;
    let record = |run: agent::ModelRun| {
        let mut record = TokenRecord::new(server, run.model);
        (record.tokens, record.cost, record.server_tools) = (run.tokens, run.cost, run.server_tools);
        record.quality = if run.residual.is_some() { Quality::Derived } else { Quality::Reported };
        record.residual = run.residual;
        record.normaliser = Some("agent-output/2".into());
        record
    };
    Ok(runs.into_iter().map(record).collect())
}

/// Returns the whole run as one call of its most expensive model.
fn agent_total(text: &str, provider: Option<&ProviderId>) -> Result<TokenRecord> {
    let run = agent::extract(text, Turns::Auto, provider)?
        .ok_or_else(|| Error::invalid("this output of an agent states no tokens"))?;
    let provider = server(provider, run.format, run.model.as_deref())?;
    let mut record = TokenRecord::new(provider, run.model.unwrap_or_default());
    record.tokens = run.tokens;
    record.cost = run.cost;
    record.quality = if run.residual.is_some() { Quality::Derived } else { Quality::Reported };
    record.residual = run.residual;
    record.normaliser = Some("agent-output/1".into());
    Ok(record)
}

/// A call in the form that programs send.
pub(crate) struct Call<'a> {
    fields: LineFields<'a>,
    format: Option<String>,
    response: Option<&'a RawValue>,
    /// The reservation that the call settles.
    pub reservation: Option<EventId>,
    /// The reporting program.
    pub source: Option<String>,
    /// End of the call.
    pub occurred_at: Option<Timestamp>,
    /// The caller's id for the call.
    pub id: Option<EventId>,
}

impl<'a> Call<'a> {
    /// Parses an object with the fields of a record, and `format`, `response`, `source`, `reservation`.
    pub fn parse(body: &'a [u8]) -> Result<Self> {
        let LineFields(fields) = LineFields::parse(body)?;
        let (own, rest): (Vec<_>, Vec<_>) = fields
            .into_iter()
            .partition(|(name, _)| ["format", "response", "source", "reservation"].contains(&&**name));
        let mut call = Self {
            fields: LineFields(rest),
            format: None,
            response: None,
            reservation: None,
            source: None,
            occurred_at: None,
            id: None,
        };
        for (index, (name, value)) in own.iter().enumerate() {
            if own.iter().take(index).any(|(earlier, _)| earlier == name) {
                return Err(Error::invalid(format!("`{name}` occurs twice: keep one of them")));
            }
            if value.get() == "null" {
                continue;
            }
            let text = || read::<String>(name, value, "a text");
            match &**name {
                "format" => call.format = Some(text()?),
                "response" => call.response = Some(value),
                "reservation" => call.reservation = Some(text()?.parse()?),
                _ => call.source = named("source", Some(&text()?))?.map(str::to_owned),
            }
        }
        for (name, value) in &call.fields.0 {
            match &**name {
                "occurred_at" if value.get() != "null" => {
                    let text: String = read(name, value, "a text")?;
                    call.occurred_at = Some(crate::present::clock::instant(&text)?);
                }
                "id" if value.get() != "null" => call.id = Some(read::<String>(name, value, "a text")?.parse()?),
                _ => {}
            }
        }
        Ok(call)
    }

    /// Returns one batch line per model, and the reporting program.
    pub fn lines(self) -> Result<(Vec<JsonLine>, Option<String>)> {
        if self.reservation.is_some() {
            return Err(Error::invalid("`reservation` is not taken here: end a reservation with `settle`"));
        }
        let (id, occurred_at, source) = (self.id, self.occurred_at, self.source.clone());
        let (record, nested) = self.records(None)?;
        let mut lines = vec![JsonLine { id, occurred_at, record }];
        lines.extend(nested.into_iter().map(|record| JsonLine { id: None, occurred_at, record }));
        Ok((lines, source))
    }

    /// Returns the record of the call, and those of nested calls. `reserved` is the provider of the reservation; it
    /// served the call unless the object names another provider.
    pub fn records(self, reserved: Option<&ProviderId>) -> Result<(TokenRecord, Vec<TokenRecord>)> {
        let named = self.named()?;
        let served = named.as_ref().or(reserved);
        let (base, nested) = match (&self.format, self.response) {
            (None, None) => (reserved.map(|provider| TokenRecord::new(provider.as_str(), "")), Vec::new()),
            (Some(format), Some(response)) => {
                self.expect_no_counts()?;
                // A string contains a body or a stream. Any other value is the body itself.
                let text = serde_json::from_str::<String>(response.get());
                let text = text.as_deref().unwrap_or_else(|_| response.get());
                let (record, nested) = from_response(format, text, served)?;
                (Some(record), nested)
            }
            _ => {
                return Err(Error::invalid(format!(
                    "`format` and `response` belong together: send both, with a format of {}",
                    formats().join(", ")
                )));
            }
        };
        let record = JsonLine::of(&self.fields, base)?.record;
        let nested = nested.iter().enumerate().map(|(place, nested)| self.nested(place, nested));
        let nested = nested.collect::<Result<_>>()?;
        Ok((record, nested))
    }

    /// Builds the record of a nested call, with the fields that apply to both.
    fn nested(&self, place: usize, nested: &TokenRecord) -> Result<TokenRecord> {
        complete_nested(nested, |record| {
            let mut record = JsonLine::of(&self.fields, Some(record))?.record;
            // The object's keys identify the outer call.
            record.keys.retain(|key| nested.keys.contains(key));
            let named = self.fields.0.iter().find(|(name, value)| name == "key" && value.get() != "null");
            if let Some((name, value)) = named {
                let key = nested_key(&read::<String>(name, value, "a text")?, place);
                record.put_keys(vec![key]);
            }
            Ok(record)
        })
    }

    fn named(&self) -> Result<Option<ProviderId>> {
        let given = self.fields.0.iter().find(|(name, value)| name == "provider" && value.get() != "null");
        given.map(|(name, value)| ProviderId::resolve(&read::<String>(name, value, "a text")?)).transpose()
    }

    /// Refuses counts next to a response, because they could contradict it.
    fn expect_no_counts(&self) -> Result<()> {
        let count = self.fields.0.iter().find(|(name, value)| {
            value.get() != "null" && TokenClass::ALL.into_iter().any(|class| class.name() == name)
        });
        match count {
            None => Ok(()),
            Some((name, _)) => Err(Error::invalid(format!("`{name}` conflicts with `response`: send one of them"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(body: &str, reserved: Option<&str>) -> Result<TokenRecord> {
        let reserved = reserved.map(|name| ProviderId::resolve(name).unwrap());
        Ok(Call::parse(body.as_bytes())?.records(reserved.as_ref())?.0)
    }

    #[test]
    fn fields_of_the_input_complete_a_response() {
        let usage = r#"{"id":"msg_1","model":"claude-opus-4-5","usage":{"input_tokens":9,"output_tokens":3}}"#;
        let text = serde_json::to_string(usage).unwrap();
        for response in [usage, &text] {
            let body = format!(r#"{{"format":"anthropic","response":{response},"project":"acme","key":"mine"}}"#);
            let record = record(&body, None).unwrap();
            assert_eq!((record.provider.as_ref(), record.project.as_deref()), ("anthropic", Some("acme")));
            assert_eq!(record.keys, ["mine", "msg_1"]);
            assert_eq!(record.tokens.total().unwrap(), 12);
        }
        let proxied = record(&format!(r#"{{"format":"anthropic","response":{usage}}}"#), Some("github-copilot"));
        assert_eq!(proxied.unwrap().provider, "github-copilot");
    }

    #[test]
    fn contradictory_counts_are_refused() {
        for (body, named) in [
            (r#"{"format":"anthropic"}"#, "belong together"),
            (r#"{"response":{}}"#, "belong together"),
            (r#"{"format":"anthropic","response":{"usage":{"input_tokens":1}},"input":1}"#, "`input` conflicts with"),
            (r#"{"format":"morse","response":{}}"#, "morse"),
            (r#"{"source":"a","source":"b","provider":"openai","input":1}"#, "`source` occurs twice"),
            (r#"{"provider":"openai","input":1,"colour":"red"}"#, "unknown field `colour`"),
            (r#"{"input":1}"#, "`provider` is missing"),
        ] {
            let error = record(body, None).unwrap_err().to_string();
            assert!(error.contains(named), "{body}: {error}");
        }
        assert_eq!(record(r#"{"input":1}"#, Some("openai")).unwrap().provider, "openai");
    }
}
