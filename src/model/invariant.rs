//! Assumptions that this crate checks at run time. A violation is an error that names its place, never a default value.

/// Makes the [`Error::Bug`](crate::Error::Bug) of this source line.
macro_rules! bug {
    ($($what:tt)+) => {
        $crate::model::error::Error::Bug { file: file!(), line: line!(), what: format!($($what)+) }
    };
}

/// Returns [`Error::Bug`](crate::Error::Bug) from the function unless a condition holds.
macro_rules! invariant {
    ($holds:expr, $($what:tt)+) => {
        if !$holds {
            return Err($crate::model::invariant::bug!($($what)+).into());
        }
    };
}

pub(crate) use {bug, invariant};

#[cfg(test)]
mod tests {
    use crate::model::error::{Error, Result};

    fn checked(count: u64) -> Result<u64> {
        invariant!(count < 3, "a count of {count} where at most 2 are possible");
        Ok(count)
    }

    #[test]
    fn a_broken_assumption_is_an_error_that_names_its_place() {
        assert_eq!(checked(2).unwrap(), 2);
        let error = checked(3).unwrap_err();
        assert!(error.is_store());
        assert!(matches!(error, Error::Bug { file, line, .. } if file.ends_with("invariant.rs") && line > 0));
        assert!(error.to_string().contains("a count of 3 where at most 2 are possible"), "{error}");
    }
}
