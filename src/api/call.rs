//! One call as a program reports it: the fields of a record, or a provider's response with what else is known.

use serde_json::value::RawValue;

use super::input::named;
use super::json_line::{JsonLine, LineFields, read};
use crate::model::error::{Error, Result};
use crate::model::event::{EventId, Quality, TokenRecord};
use crate::model::provider::ProviderId;
use crate::model::time::Timestamp;
use crate::model::tokens::TokenClass;
use crate::readers::normalise::agent::{self, Turns};
use crate::readers::normalise::{self, UsageFormat};

/// The format whose text is what a run of an agent prints.
pub(crate) const AGENT_OUTPUT: &str = "agent-output";

/// Every format that [`from_response`] reads.
pub(crate) fn formats() -> Vec<&'static str> {
    UsageFormat::ALL.map(UsageFormat::name).into_iter().chain([AGENT_OUTPUT]).collect()
}

/// The record of a response. `served` is the provider that is known to have served it: a response has the form of an API,
/// which other providers serve too.
pub(crate) fn from_response(format: &str, text: &str, served: Option<&ProviderId>) -> Result<TokenRecord> {
    let mut record =
        if format == AGENT_OUTPUT { agent_output(text, served)? } else { normalise::response(format.parse()?, text)? };
    if let Some(provider) = served {
        record.provider = provider.as_str().to_owned().into();
    }
    Ok(record)
}

fn agent_output(text: &str, provider: Option<&ProviderId>) -> Result<TokenRecord> {
    let run = agent::extract_as(text, Turns::Told, provider)?
        .ok_or_else(|| Error::invalid("this output of an agent states no tokens"))?;
    let is_claude = run.model.as_deref().is_some_and(|model| model.starts_with("claude"));
    let provider = match (provider, run.format) {
        (Some(provider), _) => provider.as_str(),
        (None, "codex") => "openai",
        (None, "claude") if is_claude => "anthropic",
        (None, _) => return Err(Error::invalid("this output does not tell who served the tokens: give --provider")),
    };
    let mut record = TokenRecord::new(provider, run.model.unwrap_or_default());
    record.tokens = run.tokens;
    record.cost = run.cost;
    record.quality = if run.residual.is_some() { Quality::Derived } else { Quality::Reported };
    record.residual = run.residual;
    record.normaliser = Some("agent-output/1".into());
    Ok(record)
}

/// A call as a program sends it.
pub(crate) struct Call<'a> {
    fields: LineFields<'a>,
    format: Option<String>,
    response: Option<&'a RawValue>,
    /// The reservation that the call ends, for `settle`.
    pub reservation: Option<EventId>,
    /// The program that reports it.
    pub source: Option<String>,
    /// When the call ended.
    pub occurred_at: Option<Timestamp>,
    /// The caller's own id.
    pub id: Option<EventId>,
}

impl<'a> Call<'a> {
    /// Reads an object: the fields of a record, and `format`, `response`, `source`, `reservation`.
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
                return Err(Error::invalid(format!("`{name}` stands twice: keep one of them")));
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

    /// The call as a line of a batch, and the program that reports it.
    pub fn line(self) -> Result<(JsonLine, Option<String>)> {
        if self.reservation.is_some() {
            return Err(Error::invalid("`reservation` is not taken here: end a reservation with `settle`"));
        }
        let (id, occurred_at, source) = (self.id, self.occurred_at, self.source.clone());
        Ok((JsonLine { id, occurred_at, record: self.record(None)? }, source))
    }

    /// The record of the call. `reserved` is the provider that tokens were set aside with: it served the call unless the
    /// object names another one.
    pub fn record(self, reserved: Option<&ProviderId>) -> Result<TokenRecord> {
        let named = self.named()?;
        let served = named.as_ref().or(reserved);
        let base = match (&self.format, self.response) {
            (None, None) => reserved.map(|provider| TokenRecord::new(provider.as_str(), "")),
            (Some(format), Some(response)) => {
                self.expect_no_counts()?;
                // A text holds a body or a stream; anything else is the body itself.
                let text = serde_json::from_str::<String>(response.get());
                Some(from_response(format, text.as_deref().unwrap_or_else(|_| response.get()), served)?)
            }
            _ => {
                return Err(Error::invalid(format!(
                    "`format` and `response` belong together: send both, with a format of {}",
                    formats().join(", ")
                )));
            }
        };
        Ok(JsonLine::of(&self.fields, base)?.record)
    }

    fn named(&self) -> Result<Option<ProviderId>> {
        let given = self.fields.0.iter().find(|(name, value)| name == "provider" && value.get() != "null");
        given.map(|(name, value)| ProviderId::resolve(&read::<String>(name, value, "a text")?)).transpose()
    }

    /// Counts beside a response would leave open which of the two holds.
    fn expect_no_counts(&self) -> Result<()> {
        let count = self.fields.0.iter().find(|(name, value)| {
            value.get() != "null" && TokenClass::ALL.into_iter().any(|class| class.name() == name)
        });
        match count {
            None => Ok(()),
            Some((name, _)) => Err(Error::invalid(format!("`{name}` stands beside `response`: send one of them"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(body: &str, reserved: Option<&str>) -> Result<TokenRecord> {
        let reserved = reserved.map(|name| ProviderId::resolve(name).unwrap());
        Call::parse(body.as_bytes())?.record(reserved.as_ref())
    }

    #[test]
    fn a_response_is_completed_by_what_else_is_known() {
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
    fn what_contradicts_itself_is_refused() {
        for (body, named) in [
            (r#"{"format":"anthropic"}"#, "belong together"),
            (r#"{"response":{}}"#, "belong together"),
            (r#"{"format":"anthropic","response":{"usage":{"input_tokens":1}},"input":1}"#, "`input` stands beside"),
            (r#"{"format":"morse","response":{}}"#, "morse"),
            (r#"{"source":"a","source":"b","provider":"openai","input":1}"#, "`source` stands twice"),
            (r#"{"provider":"openai","input":1,"colour":"red"}"#, "unknown field `colour`"),
            (r#"{"input":1}"#, "`provider` is missing"),
        ] {
            let error = record(body, None).unwrap_err().to_string();
            assert!(error.contains(named), "{body}: {error}");
        }
        assert_eq!(record(r#"{"input":1}"#, Some("openai")).unwrap().provider, "openai");
    }
}
