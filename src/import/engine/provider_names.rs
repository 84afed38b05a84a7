//! The provider that an agent's setting names.

use crate::model::provider::ProviderId;

/// People name their own providers; what cannot be an id is made one.
pub(in crate::import) fn named(name: &str) -> Option<String> {
    let fine = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' };
    let id: String = name.trim().to_lowercase().chars().map(fine).take(ProviderId::MAX_LEN).collect();
    ProviderId::resolve(&id).ok().map(|id| id.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_of_a_provider_becomes_an_id() {
        assert_eq!(named("openai").as_deref(), Some("openai"));
        assert_eq!(named("azure").as_deref(), Some("azure-openai"));
        assert_eq!(named("My Provider (é)").as_deref(), Some("my-provider----"));
        assert_eq!(named("mock").as_deref(), Some("mock"));
        assert_eq!(named(" ").as_deref(), None);
        assert_eq!(named(&"x".repeat(100)).map(|id| id.len()), Some(ProviderId::MAX_LEN));
    }
}
