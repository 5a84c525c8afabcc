//! `#[on_message(..)]`: from its tokens to the call of the builder.

use std::time::Duration;

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::spanned::Spanned;
use syn::{Attribute, Expr, ExprLit, ImplItem, ImplItemFn, ItemImpl, Lit, LitStr, Meta, Type};

use crate::errors::{Errors, did_you_mean, listed};
use crate::expand::duration;
use crate::parse::{Effects, effects, ident, key_of, metas, value};
use crate::signature;
use crate::validate::cfgs;
use crate::values;

const KEYS: [&str; 12] = [
    "concurrency",
    "dedupe",
    "effects",
    "filter",
    "group",
    "max_attempts",
    "mode",
    "prefetch",
    "retry",
    "tags",
    "timeout",
    "topic",
];
const CANCEL_KEYS: [&str; 2] = ["tag", "topic"];

/// Longest topic, tag and group, in characters.
const MAX_NAME: usize = 128;
/// Most messages in work or at hand.
const MAX_MESSAGES: u32 = 1000;

/// A handler that can be generated.
pub(crate) struct Handler {
    method: ImplItemFn,
    cfgs: Vec<Attribute>,
    effects: Effects,
    body: Type,
    /// `.group("points")` and so on.
    settings: Vec<TokenStream>,
    topic: LitStr,
}

/// Takes the `#[on_message]` attributes off the block and reads them. Says
/// also whether there was any, right or wrong.
pub(crate) fn take(block: &mut ItemImpl, errors: &mut Errors) -> (Vec<Handler>, bool) {
    let (mut handlers, mut any) = (Vec::new(), false);
    let mut places: Vec<(String, String)> = Vec::new();
    for item in &mut block.items {
        let ImplItem::Fn(method) = item else { continue };
        let (found, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut method.attrs)
            .into_iter()
            .partition(|attr| attr.path().is_ident("on_message"));
        method.attrs = rest;
        let mut found = found.into_iter();
        let Some(attr) = found.next() else { continue };
        any = true;
        for second in found {
            errors.at(
                second,
                "this method handles messages already; write another method",
            );
        }
        if method.attrs.iter().any(|attr| attr.path().is_ident("step")) {
            errors.at(&attr, "a method is a step or handles messages, not both");
            // As a step it would bring errors of its own.
            method.attrs.retain(|attr| !attr.path().is_ident("step"));
            continue;
        }
        let Some(args) = args(&attr, errors) else {
            continue;
        };
        let place = (args.group_name(), args.topic.value());
        if places.contains(&place) {
            errors.at(
                &args.topic,
                "this group has a handler for this topic already; \
                 make them one, or give this one a `group` of its own",
            );
        }
        places.push(place);
        let Some(body) = signature::message(&method.sig, args.effects, errors) else {
            continue;
        };
        handlers.push(Handler {
            cfgs: cfgs(&method.attrs),
            method: method.clone(),
            effects: args.effects,
            body,
            settings: args.settings,
            topic: args.topic,
        });
    }
    (handlers, any)
}

struct Args {
    topic: LitStr,
    group: Option<LitStr>,
    effects: Effects,
    settings: Vec<TokenStream>,
}

impl Args {
    /// Empty: the service's name.
    fn group_name(&self) -> String {
        self.group.as_ref().map(LitStr::value).unwrap_or_default()
    }
}

fn args(attr: &Attribute, errors: &mut Errors) -> Option<Args> {
    let list = match &attr.meta {
        Meta::List(list) => errors.keep(metas(list.tokens.clone()))?,
        Meta::Path(_) => Vec::new(),
        Meta::NameValue(_) => {
            errors.at(attr, "write `#[on_message(topic = \"..\")]`");
            return None;
        }
    };
    let (mut topic, mut group, mut effects) = (None, None, Effects::Local);
    let mut settings = Vec::new();
    let mut seen: Vec<String> = Vec::new();
    for meta in &list {
        let key = key_of(meta);
        if seen.contains(&key) {
            errors.at(meta.path(), format!("`{key}` is given twice"));
            continue;
        }
        let other = match key.as_str() {
            "tags" => "filter",
            "filter" => "tags",
            _ => "",
        };
        if seen.iter().any(|key| key == other) {
            errors.at(
                meta.path(),
                "a subscription has `tags` or a `filter`, not both",
            );
        }
        match key.as_str() {
            "topic" => topic = errors.keep(value(meta).and_then(name)),
            "group" => {
                group = errors.keep(value(meta).and_then(name));
                settings.extend(group.as_ref().map(|group| quote!(.group(#group))));
            }
            "effects" => {
                effects = errors
                    .keep(value(meta).and_then(self::effects))
                    .unwrap_or(effects);
            }
            _ => settings.extend(setting(&key, meta, errors)),
        }
        seen.push(key);
    }
    let nearly = |key: &String| did_you_mean(key, KEYS).contains("`topic`");
    if !seen.iter().any(|key| key == "topic" || nearly(key)) {
        errors.at_span(
            attr.path().span(),
            "which messages? Name them with `topic = \"..\"`",
        );
    }
    Some(Args {
        topic: topic?,
        group,
        effects,
        settings,
    })
}

fn setting(key: &str, meta: &Meta, errors: &mut Errors) -> Option<TokenStream> {
    let read = |read: fn(&Expr) -> syn::Result<TokenStream>| value(meta).and_then(read);
    let read = match key {
        "tags" => read(|v| text(v, "tags such as \"paid || refunded\"").map(|t| quote!(.tags(#t)))),
        "filter" => {
            read(|v| text(v, "a condition such as \"amount > 10\"").map(|t| quote!(.filter(#t))))
        }
        "max_attempts" => read(|v| values::attempts(v).map(|n| quote!(.max_attempts(#n)))),
        "concurrency" => read(|v| messages(v).map(|n| quote!(.concurrency(#n)))),
        "prefetch" => read(|v| messages(v).map(|n| quote!(.prefetch(#n)))),
        "timeout" => read(|v| {
            values::duration(v)
                .map(duration)
                .map(|d| quote!(.timeout(#d)))
        }),
        "retry" => read(|v| {
            let waits = waits(v)?.into_iter().map(duration);
            Ok(quote!(.retry([#(#waits),*])))
        }),
        "mode" => read(|v| match ident(v) {
            Some(word) if word == "broadcasting" => Ok(quote!(.broadcasting())),
            Some(word) if word == "clustering" => Ok(quote!()),
            _ => Err(wrong(
                v,
                "expected `broadcasting`, or `clustering`, which is the default",
            )),
        }),
        "dedupe" => read(|v| match ident(v) {
            Some(word) if word == "key" => Ok(quote!(.dedupe(::amends::Dedupe::Key))),
            Some(word) if word == "id" => Ok(quote!()),
            _ => Err(wrong(v, "expected `key`, or `id`, which is the default")),
        }),
        _ => {
            let (hint, known) = (did_you_mean(key, KEYS), listed(&KEYS));
            let keys = format!("the keys of a handler are {known}");
            errors.at(meta.path(), format!("unknown key `{key}`{hint} ({keys})"));
            return None;
        }
    };
    errors.keep(read)
}

/// Reads `cancel_on(topic = "..", tag = "..")` of `#[amends::service]`.
pub(crate) fn cancel_on(meta: &Meta, errors: &mut Errors) -> Option<TokenStream> {
    let Meta::List(list) = meta else {
        errors.at(meta, "write `cancel_on(topic = \"..\", tag = \"..\")`");
        return None;
    };
    let (mut topic, mut tag) = (None, None);
    for meta in errors.keep(metas(list.tokens.clone()))? {
        match key_of(&meta).as_str() {
            "topic" => topic = errors.keep(value(&meta).and_then(name)),
            "tag" => tag = errors.keep(value(&meta).and_then(name)),
            key => {
                let hint = did_you_mean(key, CANCEL_KEYS);
                errors.at(
                    meta.path(),
                    format!("unknown key `{key}` of `cancel_on`{hint}"),
                );
                return None;
            }
        }
    }
    let (Some(topic), Some(tag)) = (topic, tag) else {
        errors.at(meta, "the cancel message has a `topic` and a `tag`");
        return None;
    };
    Some(quote!(.cancel_on(#topic, #tag)))
}

impl ToTokens for Handler {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let Self {
            cfgs,
            body,
            settings,
            topic,
            ..
        } = self;
        let method = &self.method.sig.ident;
        let add = match self.effects {
            Effects::Local => quote!(on_message),
            Effects::External => quote!(on_message_external),
        };
        tokens.extend(quote! {
            #(#cfgs)*
            let builder = builder.#add::<#body>(
                ::amends::Subscription::to(#topic) #(#settings)*,
                |service, context, message| {
                    ::std::boxed::Box::pin(Self::#method(service, context, message))
                },
            );
        });
    }
}

fn text(value: &Expr, expected: &str) -> syn::Result<LitStr> {
    let text = values::string(value, expected)?;
    if text.value().trim().is_empty() {
        return Err(wrong(value, &format!("expected {expected}")));
    }
    Ok(text)
}

/// A topic, tag or group.
pub(crate) fn name(value: &Expr) -> syn::Result<LitStr> {
    let text = values::string(value, "a name as a string")?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !(1..=MAX_NAME).contains(&text.value().len()) || !text.value().chars().all(allowed) {
        let rule = "of `A-Z`, `a-z`, `0-9`, `-`, `_` and `.`";
        return Err(wrong(
            value,
            &format!("a topic, tag or group is 1 to {MAX_NAME} characters {rule}"),
        ));
    }
    Ok(text)
}

fn messages(value: &Expr) -> syn::Result<u32> {
    let number = match value {
        Expr::Lit(ExprLit {
            lit: Lit::Int(number),
            ..
        }) => number.base10_parse::<u32>().ok(),
        _ => None,
    };
    let expected = format!("expected a number of messages, 1 to {MAX_MESSAGES}");
    number
        .filter(|n| (1..=MAX_MESSAGES).contains(n))
        .ok_or_else(|| wrong(value, &expected))
}

fn waits(value: &Expr) -> syn::Result<Vec<Duration>> {
    match value {
        Expr::Array(array) if !array.elems.is_empty() => {
            array.elems.iter().map(values::duration).collect()
        }
        _ => Err(wrong(
            value,
            "expected a list of waits such as [\"10s\", \"1m\"]",
        )),
    }
}

fn wrong(value: &Expr, text: &str) -> syn::Error {
    syn::Error::new_spanned(value, text)
}
