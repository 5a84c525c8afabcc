//! [`Cents`]: money, exact.

use std::fmt;
use std::iter::Sum;
use std::str::FromStr;

use amends::Value;
use amends::conn::FromValue;
use serde::{Deserialize, Serialize};

/// An amount of money in hundredths of the currency's unit. There is no
/// conversion from floating point, and arithmetic never wraps: what does not
/// fit is `None`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Cents(i64);

/// Why a text is no amount.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no amount: write it like 12.34")]
pub struct MoneyError(String);

impl Cents {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// So many hundredths.
    #[must_use]
    pub const fn new(cents: i64) -> Self {
        Self(cents)
    }

    /// So many whole units.
    #[must_use]
    pub const fn units(units: i32) -> Self {
        Self(units as i64 * 100)
    }

    /// In hundredths.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }

    /// The sum.
    #[must_use]
    pub fn plus(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// The difference.
    #[must_use]
    pub fn minus(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    /// So many times this amount.
    #[must_use]
    pub fn times(self, number: i64) -> Option<Self> {
        self.0.checked_mul(number).map(Self)
    }

    /// The opposite.
    #[must_use]
    pub const fn negated(self) -> Self {
        Self(self.0.saturating_neg())
    }

    /// The points that paying this earns: one for each whole unit.
    #[must_use]
    pub const fn points(self) -> i64 {
        self.0 / 100
    }

    /// Below zero.
    #[must_use]
    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }
}

impl fmt::Display for Cents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.is_negative() { "-" } else { "" };
        let cents = self.0.unsigned_abs();
        f.pad(&format!("{sign}{}.{:02}", cents / 100, cents % 100))
    }
}

impl FromStr for Cents {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Self, MoneyError> {
        parse(text).ok_or_else(|| MoneyError(text.to_owned()))
    }
}

impl Sum for Cents {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        Self(amounts.fold(0, |sum, amount| sum.saturating_add(amount.0)))
    }
}

impl From<Cents> for Value {
    fn from(amount: Cents) -> Self {
        Self::Int(amount.0)
    }
}

impl FromValue for Cents {
    fn from_value(value: &Value) -> Result<Self, amends::DatabaseError> {
        i64::from_value(value).map(Self)
    }
}

fn parse(text: &str) -> Option<Cents> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (units, fraction) = digits.split_once('.').unwrap_or((digits, "00"));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !all_digits(units) || !all_digits(fraction) || fraction.len() > 2 {
        return None;
    }
    let scale = if fraction.len() == 1 { 10 } else { 1 };
    let units: i64 = units.parse().ok()?;
    let fraction: i64 = fraction.parse().ok()?;
    let cents = units.checked_mul(100)?.checked_add(fraction * scale)?;
    Some(Cents(if negative { -cents } else { cents }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_read_and_print_exactly() {
        let check = |text: &str, cents: Option<i64>, printed: &str| {
            let read = text.parse::<Cents>().ok();
            assert_eq!(read.map(Cents::get), cents, "{text}");
            if let Some(read) = read {
                assert_eq!(read.to_string(), printed);
            }
        };
        check("0", Some(0), "0.00");
        check("12.34", Some(1234), "12.34");
        check("12.3", Some(1230), "12.30");
        check("-0.05", Some(-5), "-0.05");
        check("900", Some(90000), "900.00");
        check("1.234", None, "");
        check("1.", None, "");
        check(".5", None, "");
        check("", None, "");
        check("1e3", None, "");
        check("99999999999999999999", None, "");
        assert_eq!(format!("{:>8}", Cents::units(20)), "   20.00");
    }

    #[test]
    fn arithmetic_does_not_wrap() {
        assert_eq!(Cents::new(i64::MAX).plus(Cents::new(1)), None);
        assert_eq!(Cents::new(i64::MIN).minus(Cents::new(1)), None);
        assert_eq!(Cents::new(i64::MAX / 2).times(3), None);
        assert_eq!(Cents::units(10).times(3), Some(Cents::units(30)));
    }
}
