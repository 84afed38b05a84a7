//! Setters of the fields of a token record.

use std::borrow::Cow;

use super::{Quality, Raw, TokenRecord};
use crate::model::time::Timestamp;
use crate::model::tokens::{TokenClass, Tokens, Usd};

impl TokenRecord {
    /// Sets the count of one class, in tokens.
    ///
    /// ```
    /// # use usage_ledger::{TokenClass, TokenRecord};
    /// let record = TokenRecord::new("anthropic", "claude-opus-4-5").count(TokenClass::CacheWrite1h, 7);
    /// assert_eq!(record.tokens.cache_write_1h, Some(7));
    /// ```
    pub const fn count(mut self, class: TokenClass, count: u64) -> Self {
        self.tokens.set(class, Some(count));
        self
    }

    /// Sets uncached input, in tokens.
    ///
    /// ```
    /// # use usage_ledger::TokenRecord;
    /// assert_eq!(TokenRecord::new("openai", "gpt-5").input(30).tokens.input, Some(30));
    /// ```
    pub const fn input(self, count: u64) -> Self {
        self.count(TokenClass::Input, count)
    }

    /// Sets visible output, in tokens.
    ///
    /// ```
    /// # use usage_ledger::TokenRecord;
    /// assert_eq!(TokenRecord::new("openai", "gpt-5").output(12).tokens.output, Some(12));
    /// ```
    pub const fn output(self, count: u64) -> Self {
        self.count(TokenClass::Output, count)
    }

    /// Sets input read from a cache, in tokens.
    ///
    /// ```
    /// # use usage_ledger::TokenRecord;
    /// assert_eq!(TokenRecord::new("openai", "gpt-5").cache_read(80).tokens.cache_read, Some(80));
    /// ```
    pub const fn cache_read(self, count: u64) -> Self {
        self.count(TokenClass::CacheRead, count)
    }

    /// Sets reasoning output, in tokens.
    ///
    /// ```
    /// # use usage_ledger::TokenRecord;
    /// assert_eq!(TokenRecord::new("openai", "gpt-5").reasoning(5).tokens.reasoning, Some(5));
    /// ```
    pub const fn reasoning(self, count: u64) -> Self {
        self.count(TokenClass::Reasoning, count)
    }

    /// Sets the account.
    ///
    /// ```
    /// # use usage_ledger::TokenRecord;
    /// assert_eq!(TokenRecord::new("openai", "gpt-5").account("team").account.as_deref(), Some("team"));
    /// ```
    pub fn account(mut self, account: impl Into<String>) -> Self {
        self.account = Some(account.into());
        self
    }

    /// Sets the calling program.
    ///
    /// ```
    /// # use usage_ledger::TokenRecord;
    /// assert_eq!(TokenRecord::new("openai", "gpt-5").agent("my-agent").agent.as_deref(), Some("my-agent"));
    /// ```
    pub fn agent(mut self, agent: impl Into<String>) -> Self {
        self.agent = Some(agent.into());
        self
    }

    /// Sets the conversation.
    ///
    /// ```
    /// # use usage_ledger::TokenRecord;
    /// assert_eq!(TokenRecord::new("openai", "gpt-5").conversation("c-1").conversation.as_deref(), Some("c-1"));
    /// ```
    pub fn conversation(mut self, conversation: impl Into<String>) -> Self {
        self.conversation = Some(conversation.into());
        self
    }

    /// Sets the project.
    ///
    /// ```
    /// # use usage_ledger::TokenRecord;
    /// assert_eq!(TokenRecord::new("openai", "gpt-5").project("acme").project.as_deref(), Some("acme"));
    /// ```
    pub fn project(mut self, project: impl Into<String>) -> Self {
        self.project = Some(project.into());
        self
    }

    /// Adds a label.
    ///
    /// ```
    /// # use usage_ledger::TokenRecord;
    /// let record = TokenRecord::new("openai", "gpt-5").label("team", "blue").label("team", "red");
    /// assert_eq!(record.labels["team"], "red"); // the last value of a name holds
    /// ```
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(name.into(), value.into());
        self
    }

    /// Sets input written to a cache of unknown lifetime, in tokens.
    ///
    /// ```
    /// # use usage_ledger::TokenRecord;
    /// assert_eq!(TokenRecord::new("openai", "gpt-5").cache_write(9).tokens.cache_write, Some(9));
    /// ```
    pub const fn cache_write(self, count: u64) -> Self {
        self.count(TokenClass::CacheWrite, count)
    }

    /// Sets input written to a cache for 5 minutes, in tokens.
    ///
    /// ```
    /// # use usage_ledger::TokenRecord;
    /// assert_eq!(TokenRecord::new("openai", "gpt-5").cache_write_5m(9).tokens.cache_write_5m, Some(9));
    /// ```
    pub const fn cache_write_5m(self, count: u64) -> Self {
        self.count(TokenClass::CacheWrite5m, count)
    }

    /// Sets input written to a cache for 1 hour, in tokens.
    ///
    /// ```
    /// # use usage_ledger::TokenRecord;
    /// assert_eq!(TokenRecord::new("openai", "gpt-5").cache_write_1h(9).tokens.cache_write_1h, Some(9));
    /// ```
    pub const fn cache_write_1h(self, count: u64) -> Self {
        self.count(TokenClass::CacheWrite1h, count)
    }

    /// Sets all counts at once.
    ///
    /// ```
    /// # use usage_ledger::TokenRecord;
    /// let counts = TokenRecord::new("openai", "gpt-5").input(3).tokens;
    /// assert_eq!(TokenRecord::new("openai", "gpt-5").tokens(counts).tokens.input, Some(3));
    /// ```
    pub const fn tokens(mut self, tokens: Tokens) -> Self {
        self.tokens = tokens;
        self
    }

    /// Sets how long the call took, in milliseconds.
    ///
    /// ```
    /// # use usage_ledger::TokenRecord;
    /// assert_eq!(TokenRecord::new("openai", "gpt-5").duration_ms(850).duration_ms, Some(850));
    /// ```
    pub const fn duration_ms(mut self, millis: u64) -> Self {
        self.duration_ms = Some(millis);
        self
    }

    /// Sets when the counts appeared, if that is later than the call.
    ///
    /// ```
    /// # use usage_ledger::TokenRecord;
    /// let at = usage_ledger::Timestamp::from_millis(1_780_308_000_000);
    /// assert_eq!(TokenRecord::new("openai", "gpt-5").counted_at(at).counted_at, Some(at));
    /// ```
    pub fn counted_at(mut self, at: impl Into<Timestamp>) -> Self {
        self.counted_at = Some(at.into());
        self
    }

    /// Names the normaliser that made the counts of the usage object, with its version.
    ///
    /// ```
    /// # use usage_ledger::TokenRecord;
    /// let record = TokenRecord::new("openai", "gpt-5").normaliser("my-gateway/1");
    /// assert_eq!(record.normaliser.as_deref(), Some("my-gateway/1"));
    /// ```
    pub fn normaliser(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.normaliser = Some(name.into());
        self
    }

    /// Sets the quality of the counts.
    ///
    /// ```
    /// # use usage_ledger::TokenRecord;
    /// let record = TokenRecord::new("openai", "gpt-5").quality(usage_ledger::event::Quality::Estimated);
    /// assert_eq!(record.quality, usage_ledger::event::Quality::Estimated);
    /// ```
    pub const fn quality(mut self, quality: Quality) -> Self {
        self.quality = quality;
        self
    }

    /// Describes what does not add up.
    ///
    /// ```
    /// # use usage_ledger::TokenRecord;
    /// let record = TokenRecord::new("openai", "gpt-5").residual("total 12, classes 11");
    /// assert!(record.residual.is_some());
    /// ```
    pub fn residual(mut self, what: impl Into<String>) -> Self {
        self.residual = Some(what.into());
        self
    }

    /// Sets the provider's own usage object.
    ///
    /// ```
    /// # use usage_ledger::TokenRecord;
    /// let raw = usage_ledger::event::Raw::parse(r#"{"prompt_tokens":3}"#)?;
    /// assert!(TokenRecord::new("openai", "gpt-5").input(3).raw(raw).raw.is_some());
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn raw(mut self, raw: Raw) -> Self {
        self.raw = Some(raw);
        self
    }

    /// Adds a natural key. The event's id is made from the first one.
    ///
    /// ```
    /// use usage_ledger::{EventId, Ledger, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1).key("resp_1").key("req_1"), now)?;
    /// assert_eq!(ledger.event(1)?.id, EventId::from_key("openai", "resp_1"));
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.keys.push(key.into());
        self
    }

    /// Sets the cost in US dollars that the agent or provider reported.
    ///
    /// ```
    /// # use usage_ledger::TokenRecord;
    /// let record = TokenRecord::new("openai", "gpt-5").cost("0.25".parse()?);
    /// assert_eq!(record.cost.unwrap().to_string(), "0.25");
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub const fn cost(mut self, cost: Usd) -> Self {
        self.cost = Some(cost);
        self
    }

    /// Sets how often the provider used one of its own tools.
    ///
    /// ```
    /// # use usage_ledger::TokenRecord;
    /// let record = TokenRecord::new("anthropic", "claude-opus-4-8").server_tool("web_search", 3);
    /// assert_eq!(record.server_tools["web_search"], 3);
    /// ```
    pub fn server_tool(mut self, name: impl Into<String>, uses: u64) -> Self {
        self.server_tools.insert(name.into(), uses);
        self
    }

    /// Sets how many tokens of a class are of a modality: `input_audio`, `cache_read_image`, `output_video` …
    ///
    /// ```
    /// # use usage_ledger::TokenRecord;
    /// let record = TokenRecord::new("openai", "gpt-audio-mini").input(1_000).modality("input_audio", 900);
    /// assert_eq!((record.tokens.input, record.modalities["input_audio"]), (Some(1_000), 900));
    /// ```
    pub fn modality(mut self, name: impl Into<String>, tokens: u64) -> Self {
        self.modalities.insert(name.into(), tokens);
        self
    }
}
