//! What serde's attributes say about the names of fields on the wire.

use syn::{Attribute, LitStr};

use crate::errors::Errors;

/// The rules of `#[serde(rename_all = "..")]`.
#[derive(Clone, Copy)]
pub(crate) enum RenameAll {
    Lower,
    Upper,
    Pascal,
    Camel,
    Snake,
    ScreamingSnake,
    Kebab,
    ScreamingKebab,
}

const RULES: [(&str, RenameAll); 8] = [
    ("lowercase", RenameAll::Lower),
    ("UPPERCASE", RenameAll::Upper),
    ("PascalCase", RenameAll::Pascal),
    ("camelCase", RenameAll::Camel),
    ("snake_case", RenameAll::Snake),
    ("SCREAMING_SNAKE_CASE", RenameAll::ScreamingSnake),
    ("kebab-case", RenameAll::Kebab),
    ("SCREAMING-KEBAB-CASE", RenameAll::ScreamingKebab),
];

impl RenameAll {
    /// Applies the rule to a field's name, as serde does.
    pub(crate) fn apply(self, field: &str) -> String {
        match self {
            Self::Lower | Self::Snake => field.to_owned(),
            Self::Upper | Self::ScreamingSnake => field.to_uppercase(),
            Self::Pascal => field.split('_').map(capitalised).collect(),
            Self::Camel => {
                let pascal: String = field.split('_').map(capitalised).collect();
                let mut chars = pascal.chars();
                let first = chars.next().map(|c| c.to_ascii_lowercase());
                first.into_iter().chain(chars).collect()
            }
            Self::Kebab => field.replace('_', "-"),
            Self::ScreamingKebab => field.to_uppercase().replace('_', "-"),
        }
    }
}

/// The container's rule, if it has one.
pub(crate) fn rename_all(attrs: &[Attribute], errors: &mut Errors) -> Option<RenameAll> {
    let rule = string_of(attrs, "rename_all", errors)?.value();
    // An unknown rule is serde's to report.
    let found = RULES.iter().find(|(name, _)| *name == rule);
    found.map(|(_, rule)| *rule)
}

/// The name that a field is given by hand, if any.
pub(crate) fn rename(attrs: &[Attribute], errors: &mut Errors) -> Option<String> {
    string_of(attrs, "rename", errors).map(|name| name.value())
}

/// Whether a field never travels.
pub(crate) fn is_skipped(attrs: &[Attribute]) -> bool {
    has(attrs, "skip")
}

/// Whether the struct's fields stand for more than themselves.
pub(crate) fn has(attrs: &[Attribute], key: &str) -> bool {
    let mut found = false;
    for attr in attrs.iter().filter(|attr| attr.path().is_ident("serde")) {
        // Errors are serde's to report.
        let _ = attr.parse_nested_meta(|meta| {
            found |= meta.path.is_ident(key);
            skip_value(&meta)
        });
    }
    found
}

fn string_of(attrs: &[Attribute], key: &str, errors: &mut Errors) -> Option<LitStr> {
    let mut found = None;
    for attr in attrs.iter().filter(|attr| attr.path().is_ident("serde")) {
        let _ = attr.parse_nested_meta(|meta| {
            if !meta.path.is_ident(key) {
                return skip_value(&meta);
            }
            if meta.input.peek(syn::token::Paren) {
                let text = format!("`Wire` needs one name for both directions: `{key} = \"..\"`");
                errors.at(&meta.path, text);
                return skip_value(&meta);
            }
            found = Some(meta.value()?.parse()?);
            Ok(())
        });
    }
    found
}

fn skip_value(meta: &syn::meta::ParseNestedMeta<'_>) -> syn::Result<()> {
    if meta.input.peek(syn::token::Paren) {
        let content;
        syn::parenthesized!(content in meta.input);
        content.parse::<proc_macro2::TokenStream>()?;
    } else if meta.input.peek(syn::Token![=]) {
        meta.value()?.parse::<syn::Expr>()?;
    }
    Ok(())
}

fn capitalised(word: &str) -> String {
    let mut chars = word.chars();
    let first = chars.next().map(|c| c.to_ascii_uppercase());
    first.into_iter().chain(chars).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules() {
        let check = |rule: RenameAll, expected: &str| {
            assert_eq!(rule.apply("order_id"), expected);
        };
        check(RenameAll::Lower, "order_id");
        check(RenameAll::Upper, "ORDER_ID");
        check(RenameAll::Pascal, "OrderId");
        check(RenameAll::Camel, "orderId");
        check(RenameAll::Snake, "order_id");
        check(RenameAll::ScreamingSnake, "ORDER_ID");
        check(RenameAll::Kebab, "order-id");
        check(RenameAll::ScreamingKebab, "ORDER-ID");
    }
}
