//! The id that a server gives its response, as a key of the record.

/// Whether the last key of a record is the id of its response.
///
/// A caller's own key is a promise: two contents of it are a conflict. An id from a response is not, because a relay may
/// give all its responses the same id. This mark is not part of the content and is not stored, so all values are equal.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ServerKey(bool);

impl PartialEq for ServerKey {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl ServerKey {
    pub const fn of(is_present: bool) -> Self {
        Self(is_present)
    }

    pub const fn is_present(self) -> bool {
        self.0
    }
}

/// Returns whether the part of an id after its last separator is long enough to be random.
pub(crate) fn is_random(id: &str) -> bool {
    let drawn = id.rsplit(['_', '-', '/']).next().unwrap_or_default();
    let mixed = drawn.bytes().any(|byte| byte.is_ascii_digit()) && drawn.bytes().any(|byte| byte.is_ascii_alphabetic());
    drawn.len() >= 20 && mixed || uuid::Uuid::parse_str(id).is_ok()
}
