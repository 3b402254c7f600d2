//! The parameters of a call.
//!
//! Place in the flow: the first thing that a method reads.
//! Invariant: a call either has exactly the parameters of its method, or is refused with -32602 and the position, as geth does it.
//! Parameters are a list; `null` for an optional one, or its absence, is nothing.

use crate::error::RpcError;
use jsonrpsee::types::Params;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

/// The parameters of a call, not read yet.
#[derive(Debug)]
pub struct Args<'a>(&'a Params<'a>);

/// What parameters can be read into: a tuple of which each part is one parameter.
pub trait ReadArgs: Sized {
    /// Number of parameters that the method knows.
    const LEN: usize;

    /// Reads the parameters by position; there are at most [`Self::LEN`].
    ///
    /// # Errors
    /// -32602 for the first one that is missing or does not fit.
    fn read(values: &[&RawValue]) -> Result<Self, RpcError>;
}

impl<'a> Args<'a> {
    /// The parameters of a request.
    pub const fn new(params: &'a Params<'a>) -> Self {
        Self(params)
    }

    /// Reads all parameters.
    ///
    /// # Errors
    /// -32602 for what does not fit the tuple.
    pub fn read<T: ReadArgs>(&self) -> Result<T, RpcError> {
        let text = self.0.as_str().unwrap_or("[]");
        let values: Vec<&RawValue> = match text.trim_start().as_bytes().first() {
            // An absent list of parameters may be written as null.
            Some(b'n') => Vec::new(),
            Some(b'[') => serde_json::from_str(text).map_err(RpcError::params)?,
            _ => return Err(RpcError::params("non-array args")),
        };
        if values.len() > T::LEN {
            return Err(RpcError::params(format_args!("too many arguments, want at most {}", T::LEN)));
        }
        T::read(&values)
    }
}

/// One parameter; what is not there reads as null.
fn parameter<T: DeserializeOwned>(values: &[&RawValue], at: usize) -> Result<T, RpcError> {
    let Some(value) = values.get(at).filter(|value| value.get() != "null") else {
        return serde_json::from_str("null")
            .map_err(|_| RpcError::params(format_args!("missing value for required argument {at}")));
    };
    serde_json::from_str(value.get()).map_err(|error| RpcError::params(format_args!("invalid argument {at}: {error}")))
}

macro_rules! tuple {
    ($len:literal: $($name:ident $at:literal)*) => {
        impl<$($name: DeserializeOwned),*> ReadArgs for ($($name,)*) {
            const LEN: usize = $len;

            fn read(_values: &[&RawValue]) -> Result<Self, RpcError> {
                Ok(($(parameter::<$name>(_values, $at)?,)*))
            }
        }
    };
}

tuple!(0:);
tuple!(1: A 0);
tuple!(2: A 0 B 1);
tuple!(3: A 0 B 1 C 2);
tuple!(4: A 0 B 1 C 2 D 3);
tuple!(5: A 0 B 1 C 2 D 3 E 4);

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: ReadArgs>(text: &'static str) -> Result<T, String> {
        let params = Params::new(Some(text));
        Args::new(&params).read().map_err(|error| {
            assert_eq!(error.code.number(), -32602);
            error.message
        })
    }

    #[test]
    fn parameters_fit_or_are_refused_by_position() {
        type Two = (u64, Option<String>);
        assert_eq!(read::<Two>("[1]"), Ok((1, None)));
        assert_eq!(read::<Two>("[1,null]"), Ok((1, None)));
        assert_eq!(read::<Two>(" [1, \"x\"]"), Ok((1, Some("x".to_owned()))));
        assert_eq!(read::<()>("null"), Ok(()));
        let refused = [
            ("[]", "missing value for required argument 0"),
            ("[null]", "missing value for required argument 0"),
            ("[1,2]", "invalid argument 1: invalid type: integer `2`, expected a string at line 1 column 1"),
            ("[1,\"x\",3]", "too many arguments, want at most 2"),
            ("{\"a\":1}", "non-array args"),
        ];
        for (text, message) in refused {
            assert_eq!(read::<Two>(text), Err(message.to_owned()), "{text}");
        }
    }
}
