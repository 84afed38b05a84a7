//! The catalogue of providers.

/// One provider of the catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CatalogueEntry {
    /// Canonical id.
    pub id: &'static str,
    /// Display name.
    pub name: &'static str,
    /// Whether it has an API quota unless a `provider_declared` event says otherwise.
    pub metered: bool,
    /// Other names in agents' settings and in telemetry (OpenTelemetry `gen_ai.provider.name`, Koan's provider names).
    pub aliases: &'static [&'static str],
}

const fn metered(id: &'static str, name: &'static str, aliases: &'static [&'static str]) -> CatalogueEntry {
    CatalogueEntry { id, name, metered: true, aliases }
}

const fn unmetered(id: &'static str, name: &'static str, aliases: &'static [&'static str]) -> CatalogueEntry {
    CatalogueEntry { id, name, metered: false, aliases }
}

/// Every known provider: first hosted services, then local programs, each sorted by id.
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
    metered("minimax", "MiniMax", &[]),
    metered("mistral", "Mistral", &["mistral_ai", "mistralai"]),
    metered("moonshot", "Moonshot", &["moonshot_ai", "moonshotai", "kimi"]),
    metered("ollama-cloud", "Ollama Cloud", &[]),
    metered("openai", "OpenAI", &["codex", "openai-chatgpt", "chatgpt"]),
    metered("opencode-zen", "OpenCode Zen", &["opencode"]),
    metered("openrouter", "OpenRouter", &[]),
    metered("perplexity", "Perplexity", &[]),
    metered("roo-code", "Roo Code", &["roo"]),
    metered("together", "Together AI", &["togetherai"]),
    metered("xai", "xAI", &["grok", "x_ai", "x-ai"]),
    metered("zai", "Z.ai", &["z.ai", "zhipu"]),
    // Programs that run models on the user's own machine have no quota.
    unmetered("docker-model-runner", "Docker Model Runner", &["docker-models", "dmr"]),
    unmetered("exo", "exo", &["exo-explore"]),
    unmetered("fake", "A stand-in for tests", &[]),
    unmetered("foundry-local", "Foundry Local", &["azure-foundry-local", "microsoft-foundry-local"]),
    unmetered("gpt4all", "GPT4All", &["gpt-4-all"]),
    unmetered("jan", "Jan", &["jan.ai", "jan-local", "cortex.cpp"]),
    unmetered("koboldcpp", "KoboldCpp", &["koboldai", "kobold", "koboldcpp-rocm"]),
    unmetered("lemonade", "Lemonade", &["lemonade-server"]),
    unmetered(
        "llama.cpp",
        "llama.cpp",
        &["llama-server", "llama.cpp-server", "llama-cpp-python", "llama-cpp-server", "llama-swap"],
    ),
    unmetered("llamafile", "llamafile", &["mozilla-llamafile"]),
    unmetered("lmdeploy", "LMDeploy", &["lmdeploy-server"]),
    unmetered("lmstudio", "LM Studio", &["lm-studio-local", "lm-studio-server", "lms"]),
    unmetered("local", "A local model", &["local-llm", "local-model", "locallm", "local-llm-provider"]),
    unmetered("localai", "LocalAI", &["local.ai"]),
    unmetered("mistral.rs", "mistral.rs", &["mistralrs-server"]),
    unmetered("mlx", "MLX", &["mlx-lm", "mlx-server", "mlx-lm-server", "mlx-vlm", "mlx-omni-server"]),
    unmetered("ollama", "Ollama", &["ollama-launch", "ollama-local", "ollama-chat", "ollama-server"]),
    unmetered("ramalama", "RamaLama", &["ramalama-serve"]),
    unmetered("sglang", "SGLang", &["sglang-server", "sgl"]),
    unmetered("tabbyapi", "TabbyAPI", &["exllamav2", "exllamav3"]),
    unmetered("tensorrt-llm", "TensorRT-LLM", &["trt-llm", "trtllm-serve"]),
    unmetered("text-generation-webui", "Text generation web UI", &["oobabooga", "textgen-webui"]),
    unmetered("tgi", "Text Generation Inference", &["text-generation-inference", "huggingface-tgi", "hf-tgi"]),
    unmetered("vllm", "vLLM", &["vllm-server", "vllm-local", "hosted-vllm", "vllm-openai"]),
    unmetered("xinference", "Xinference", &["xorbits-inference"]),
];

/// The entry with a name or alias. Separators between words do not matter: `lm_studio` equals `lm-studio`. For an unmetered
/// program, the display name and any case match too, because its own settings show them: `LM Studio`, `LocalLLMProvider`.
pub(super) fn find(name: &str) -> Option<&'static CatalogueEntry> {
    let names = |entry: &CatalogueEntry| std::iter::once(entry.id).chain(entry.aliases.iter().copied());
    let exact = CATALOGUE.iter().find(|entry| names(entry).any(|entry| entry == name));
    exact.or_else(|| {
        CATALOGUE.iter().find(|entry| {
            names(entry).any(|entry| letters(entry).eq(letters(name)))
                || (!entry.metered
                    && names(entry)
                        .chain([entry.name])
                        .any(|entry| letters(&entry.to_ascii_lowercase()).eq(letters(&name.to_ascii_lowercase()))))
        })
    })
}

/// The letters of a name without separators.
fn letters(name: &str) -> impl Iterator<Item = char> + '_ {
    name.chars().filter(|c| !matches!(c, '-' | '_' | '.' | ' '))
}
