//! The values in attributes: durations, numbers, names.

use std::time::Duration;

use syn::{Expr, ExprLit, Lit, LitStr};

/// No step waits longer than this for one answer or between two attempts.
const MAX_DURATION: Duration = Duration::from_secs(24 * 60 * 60);

/// A duration such as `"200ms"`, `"5s"`, `"2m"` or `"1h"`, above zero.
pub(crate) fn duration(value: &Expr) -> syn::Result<Duration> {
    let text = string(value, "a duration such as \"200ms\", \"5s\" or \"2m\"")?;
    parse_duration(&text.value()).map_err(|why| syn::Error::new(text.span(), why))
}

/// A string literal; `expected` says what it should have been.
pub(crate) fn string(value: &Expr, expected: &str) -> syn::Result<LitStr> {
    match value {
        Expr::Lit(ExprLit {
            lit: Lit::Str(text),
            ..
        }) => Ok(text.clone()),
        other => Err(syn::Error::new_spanned(
            other,
            format!("expected {expected}"),
        )),
    }
}

/// A whole number of attempts, at least 1.
pub(crate) fn attempts(value: &Expr) -> syn::Result<u32> {
    let error = || syn::Error::new_spanned(value, "expected a number of attempts, at least 1");
    match value {
        Expr::Lit(ExprLit {
            lit: Lit::Int(number),
            ..
        }) => match number.base10_parse::<u32>() {
            Ok(0) | Err(_) => Err(error()),
            Ok(number) => Ok(number),
        },
        _ => Err(error()),
    }
}

/// A factor, at least 1.
pub(crate) fn multiplier(value: &Expr) -> syn::Result<f64> {
    let parsed = match value {
        Expr::Lit(ExprLit {
            lit: Lit::Float(number),
            ..
        }) => number.base10_parse::<f64>().ok(),
        Expr::Lit(ExprLit {
            lit: Lit::Int(number),
            ..
        }) => number.base10_parse::<f64>().ok(),
        _ => None,
    };
    parsed
        .filter(|factor| *factor >= 1.0 && factor.is_finite())
        .ok_or_else(|| {
            syn::Error::new_spanned(value, "expected a factor of at least 1, such as 2.0")
        })
}

/// A stored name: `a-z`, `0-9`, `-`, `_`, `.`, at most `max` characters.
pub(crate) fn stored_name(name: &LitStr, max: usize) -> syn::Result<()> {
    let text = name.value();
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
    if text.is_empty() || text.len() > max || !text.chars().all(plain) {
        return Err(syn::Error::new(
            name.span(),
            format!("a stored name is 1 to {max} characters of `a-z`, `0-9`, `-`, `_` and `.`"),
        ));
    }
    Ok(())
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    const EXPECTED: &str =
        "expected a duration: a whole number and one of `ms`, `s`, `m`, `h`, such as \"200ms\"";
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| EXPECTED.to_owned())?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(EXPECTED.to_owned()),
    };
    match number.checked_mul(millis).map(Duration::from_millis) {
        Some(Duration::ZERO) => Err("a duration of zero would never let anything happen".into()),
        Some(duration) if duration <= MAX_DURATION => Ok(duration),
        _ => Err("a duration of more than 24 h is not accepted here".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let check = |text: &str, expected: Option<u64>| {
            let millis = parse_duration(text).ok().map(|d| d.as_millis() as u64);
            assert_eq!(millis, expected, "{text}");
        };
        check("200ms", Some(200));
        check("5s", Some(5_000));
        check("2m", Some(120_000));
        check("24h", Some(86_400_000));
        for bad in [
            "",
            "5",
            "s",
            "5 s",
            "-5s",
            "0s",
            "25h",
            "5d",
            "1.5s",
            "99999999999999999999s",
        ] {
            check(bad, None);
        }
    }
}
