//! The providers this build knows by name.

/// One provider of the catalogue.
///
/// ```
/// use usage_ledger::provider::CATALOGUE;
/// let anthropic = CATALOGUE.iter().find(|known| known.id == "anthropic").unwrap();
/// assert!(anthropic.metered && anthropic.aliases.contains(&"claude"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CatalogueEntry {
    /// Canonical id.
    pub id: &'static str,
    /// Name for people.
    pub name: &'static str,
    /// Whether it has an API quota unless a `provider_declared` event says otherwise.
    pub metered: bool,
    /// Other names it goes by in agents' settings and in telemetry
    /// (OpenTelemetry `gen_ai.provider.name`, Koan's provider names).
    pub aliases: &'static [&'static str],
}

const fn metered(id: &'static str, name: &'static str, aliases: &'static [&'static str]) -> CatalogueEntry {
    CatalogueEntry { id, name, metered: true, aliases }
}

const fn unmetered(id: &'static str, name: &'static str, aliases: &'static [&'static str]) -> CatalogueEntry {
    CatalogueEntry { id, name, metered: false, aliases }
}

/// Every known provider, by id.
///
/// ```
/// use usage_ledger::provider::CATALOGUE;
/// assert!(CATALOGUE.iter().any(|known| known.id == "ollama" && !known.metered));
/// ```
pub const CATALOGUE: &[CatalogueEntry] = &[
    metered("alibaba", "Alibaba Cloud Model Studio", &["qwen", "qwen-code", "dashscope", "alibaba-cloud"]),
    metered("amp", "Amp", &["ampcode"]),
    metered("anthropic", "Anthropic", &["claude", "claude-code"]),
    metered("aws-bedrock", "AWS Bedrock", &["aws.bedrock", "bedrock", "amazon-bedrock", "aws_bedrock"]),
    metered(
        "azure-openai",
        "Azure OpenAI",
        &["azure.ai.openai", "azure", "azure.ai.inference", "az.ai.openai", "az.ai.inference", "azure_openai"],
    ),
    metered("cerebras", "Cerebras", &[]),
    metered("cline", "Cline", &[]),
    metered("cohere", "Cohere", &[]),
    metered("cursor", "Cursor", &[]),
    metered("deepseek", "DeepSeek", &[]),
    metered("factory", "Factory", &["droid"]),
    unmetered("fake", "A stand-in for tests", &[]),
    metered("fireworks", "Fireworks AI", &["fireworks-ai"]),
    metered("github-copilot", "GitHub Copilot", &["copilot", "github.copilot"]),
    metered("google", "Google Gemini", &["gemini", "gcp.gemini", "gcp.gen_ai", "gemini-cli"]),
    metered(
        "google-vertex",
        "Google Vertex AI",
        &["gcp.vertex_ai", "vertex", "vertex-ai", "vertex_ai", "vertexai", "gcp.vertex.agent"],
    ),
    metered("groq", "Groq", &[]),
    metered("haze", "Haze", &[]),
    metered("kilo-code", "Kilo Code", &["kilocode", "kilo"]),
    unmetered("llama.cpp", "llama.cpp", &["llamacpp"]),
    unmetered("lmstudio", "LM Studio", &["lm-studio"]),
    metered("minimax", "MiniMax", &[]),
    metered("mistral", "Mistral", &["mistral_ai", "mistralai"]),
    metered("moonshot", "Moonshot", &["moonshot_ai", "moonshotai", "kimi"]),
    unmetered("ollama", "Ollama", &["ollama-launch", "ollama-local"]),
    metered("ollama-cloud", "Ollama Cloud", &[]),
    metered("openai", "OpenAI", &["codex", "openai-chatgpt"]),
    metered("opencode-zen", "OpenCode Zen", &["opencode"]),
    metered("openrouter", "OpenRouter", &[]),
    metered("perplexity", "Perplexity", &[]),
    metered("roo-code", "Roo Code", &["roo"]),
    metered("together", "Together AI", &["togetherai"]),
    unmetered("vllm", "vLLM", &[]),
    metered("xai", "xAI", &["grok", "x_ai", "x-ai"]),
    metered("zai", "Z.ai", &["z.ai", "zhipu"]),
];

pub(super) fn find(name: &str) -> Option<&'static CatalogueEntry> {
    CATALOGUE.iter().find(|known| known.id == name || known.aliases.contains(&name))
}
