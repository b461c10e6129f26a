//! What a function given to an operator may return: a value, or a `Result` of it.

use crate::error::BoxError;

/// A `T`, or a `Result<T, E>` whose error goes to the `processing.exception.handler`: then the record is dropped and
/// counted, goes to a dead-letter topic, or stops the task (the default).
///
/// Predicates, actions, adders, subtractors, reducers, mergers, topic extractors, and all functions that give an
/// `Option` or a pair may return either. A function whose result may be anything at all, a mapper or a joiner, has a
/// `try_` form of its operator.
///
/// ```
/// # use std::sync::Arc;
/// # use streams_core::{dsl::StreamsBuilder, handler::LogAndContinue, topic::Topic};
/// # use streams_core::testing::{DriverConfig, TopologyTestDriver};
/// const IN: Topic<String, String> = Topic::new("in");
/// const SUMS: Topic<String, Option<i64>> = Topic::new("sums");
/// fn add(_: &String, number: String, sum: &mut i64) -> Result<(), std::num::ParseIntError> {
///     *sum += number.parse::<i64>()?;
///     Ok(())
/// }
/// let builder = StreamsBuilder::new();
/// builder.stream(&IN).filter(|_, number| !number.is_empty()).group_by_key().aggregate(|| 0, add).to_stream().to(&SUMS);
///
/// let config = DriverConfig { processing_exception_handler: Arc::new(LogAndContinue), ..DriverConfig::default() };
/// let driver = TopologyTestDriver::with_config(builder.build()?, config)?;
/// ["40", "many", "2"].map(|number| driver.input(&IN).pipe("a", number));
/// assert_eq!(driver.output(&SUMS).read_key_values()["a"], Some(42));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "a function given to this operator returns `{T}` or `Result<{T}, E>`, not `{Self}`",
    note = "`E` is an error, a `String` or a `&str`"
)]
pub trait Outcome<T>: Sized {
    /// The same with another value.
    #[doc(hidden)]
    type With<U>: Outcome<U>;

    /// Whether there may be an error: then a row is copied before user code changes it.
    #[doc(hidden)]
    const CAN_FAIL: bool;

    #[doc(hidden)]
    fn of_value(value: T) -> Self;

    #[doc(hidden)]
    fn into_result(self) -> Result<T, BoxError>;

    #[doc(hidden)]
    fn map_value<U>(self, change: impl FnOnce(T) -> U) -> Self::With<U>;
}

impl<T> Outcome<T> for T {
    type With<U> = U;
    const CAN_FAIL: bool = false;

    #[inline]
    fn of_value(value: T) -> Self {
        value
    }

    #[inline]
    fn into_result(self) -> Result<T, BoxError> {
        Ok(self)
    }

    #[inline]
    fn map_value<U>(self, change: impl FnOnce(T) -> U) -> U {
        change(self)
    }
}

impl<T, E: Into<BoxError>> Outcome<T> for Result<T, E> {
    type With<U> = Result<U, E>;
    const CAN_FAIL: bool = true;

    #[inline]
    fn of_value(value: T) -> Self {
        Ok(value)
    }

    #[inline]
    fn into_result(self) -> Result<T, BoxError> {
        self.map_err(Into::into)
    }

    #[inline]
    fn map_value<U>(self, change: impl FnOnce(T) -> U) -> Result<U, E> {
        self.map(change)
    }
}

/// A `T` or an `Option<T>`, or a `Result` of either: see [`Outcome`].
pub trait OptionalOutcome<T> {
    #[doc(hidden)]
    fn into_option(self) -> Result<Option<T>, BoxError>;
}

impl<T> OptionalOutcome<T> for T {
    #[inline]
    fn into_option(self) -> Result<Option<T>, BoxError> {
        Ok(Some(self))
    }
}

impl<T> OptionalOutcome<T> for Option<T> {
    #[inline]
    fn into_option(self) -> Result<Option<T>, BoxError> {
        Ok(self)
    }
}

impl<T, E: Into<BoxError>> OptionalOutcome<T> for Result<T, E> {
    #[inline]
    fn into_option(self) -> Result<Option<T>, BoxError> {
        self.map(Some).map_err(Into::into)
    }
}

impl<T, E: Into<BoxError>> OptionalOutcome<T> for Result<Option<T>, E> {
    #[inline]
    fn into_option(self) -> Result<Option<T>, BoxError> {
        self.map_err(Into::into)
    }
}
