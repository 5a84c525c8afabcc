//! From tokens to what was written: the arguments of `#[amends::service]`
//! and of each `#[step]`, with the attributes taken off the block. Says
//! nothing yet about whether it makes sense.

use std::time::Duration;

use proc_macro2::{Span, TokenStream};
use syn::parse::Parser;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Attribute, Expr, Ident, ImplItem, ImplItemFn, ItemImpl, LitStr, Meta, Token};

use crate::errors::{Errors, did_you_mean, listed};
use crate::{message, values};

const MAX_SERVICE_NAME: usize = 128;
pub(crate) const MAX_STEP_NAME: usize = 64;

const STEP_KEYS: [&str; 5] = ["compensate", "effects", "name", "retry", "timeout"];
const RETRY_KEYS: [&str; 4] = ["backoff", "max_attempts", "max_backoff", "multiplier"];

/// What `compensate = ..` says.
pub(crate) enum Compensate {
    /// `compensate = none`.
    Nothing,
    /// `compensate = method`.
    With(Ident),
    /// Missing or wrong; reported already.
    Invalid,
}

/// `retry(..)`; what is `None` keeps the default.
#[derive(Default)]
pub(crate) struct RetryArgs {
    pub(crate) max_attempts: Option<u32>,
    pub(crate) backoff: Option<Duration>,
    pub(crate) max_backoff: Option<Duration>,
    pub(crate) multiplier: Option<f64>,
}

/// Where the effects of a step lie.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effects {
    /// In the service's own database.
    Local,
    /// Outside of it.
    External,
}

/// The arguments of one `#[step(..)]`.
pub(crate) struct StepArgs {
    pub(crate) compensate: Compensate,
    pub(crate) effects: Effects,
    pub(crate) name: Option<LitStr>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) retry: Option<RetryArgs>,
}

/// A method with `#[step]`, its attribute taken off.
pub(crate) struct StepMethod {
    pub(crate) args: StepArgs,
    pub(crate) method: ImplItemFn,
}

/// Reads `name = ".."` and each `cancel_on(..)`, which is added to `cancels`.
pub(crate) fn service_args(
    args: TokenStream,
    cancels: &mut Vec<TokenStream>,
    errors: &mut Errors,
) -> Option<LitStr> {
    let metas = errors.keep(metas(args))?;
    let mut name = None;
    for meta in metas {
        let key = key_of(&meta);
        if key == "cancel_on" {
            cancels.extend(message::cancel_on(&meta, errors));
            continue;
        }
        if key != "name" {
            let hint = did_you_mean(&key, ["name", "cancel_on"]);
            errors.at(meta.path(), format!("unknown key `{key}`{hint}"));
            name = name.or(Some(LitStr::new("unknown", Span::call_site())));
            continue;
        }
        let read = value(&meta)
            .and_then(|value| values::string(value, "the service's name as a string"))
            .and_then(|text| values::stored_name(&text, MAX_SERVICE_NAME).map(|()| text));
        name = errors.keep(read);
    }
    if name.is_none() {
        errors.at_span(
            Span::call_site(),
            "the service needs a name: `#[amends::service(name = \"inventory\")]`; \
             it is stored, so it does not follow the type's name",
        );
    }
    name
}

/// Takes the `#[step]` attributes off the block and reads them.
pub(crate) fn take_steps(block: &mut ItemImpl, errors: &mut Errors) -> Vec<StepMethod> {
    let mut steps = Vec::new();
    for item in &mut block.items {
        let ImplItem::Fn(method) = item else { continue };
        let (found, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut method.attrs)
            .into_iter()
            .partition(|attr| attr.path().is_ident("step"));
        method.attrs = rest;
        let mut found = found.into_iter();
        let Some(attr) = found.next() else { continue };
        for second in found {
            errors.at(second, "this method is a step already");
        }
        let args = step_args(&attr, errors);
        let method = method.clone();
        steps.push(StepMethod { args, method });
    }
    steps
}

fn step_args(attr: &Attribute, errors: &mut Errors) -> StepArgs {
    let mut args = StepArgs {
        compensate: Compensate::Invalid,
        effects: Effects::Local,
        name: None,
        timeout: None,
        retry: None,
    };
    let list = match &attr.meta {
        Meta::List(list) => errors.keep(metas(list.tokens.clone())),
        Meta::Path(_) => Some(Vec::new()),
        Meta::NameValue(_) => {
            errors.at(attr, "write `#[step(compensate = ..)]`");
            None
        }
    };
    let Some(list) = list else { return args };
    let mut seen: Vec<String> = Vec::new();
    for meta in &list {
        let key = key_of(meta);
        if seen.contains(&key) {
            errors.at(meta.path(), format!("`{key}` is given twice"));
            continue;
        }
        step_key(&key, meta, &mut args, errors);
        seen.push(key);
    }
    let nearly = |key: &String| did_you_mean(key, STEP_KEYS).contains("`compensate`");
    if !seen.iter().any(|key| key == "compensate" || nearly(key)) {
        errors.at_span(
            attr.path().span(),
            "how is this step undone? Name the method with `compensate = method`, \
             or write out `compensate = none`",
        );
    }
    args
}

fn step_key(key: &str, meta: &Meta, args: &mut StepArgs, errors: &mut Errors) {
    match key {
        "compensate" => {
            args.compensate = errors
                .keep(value(meta).and_then(compensate))
                .unwrap_or(Compensate::Invalid);
        }
        "effects" => {
            if let Some(effects) = errors.keep(value(meta).and_then(effects)) {
                args.effects = effects;
            }
        }
        "timeout" => args.timeout = errors.keep(value(meta).and_then(values::duration)),
        "name" => {
            let read = value(meta)
                .and_then(|value| values::string(value, "the step's name as a string"))
                .and_then(|text| values::stored_name(&text, MAX_STEP_NAME).map(|()| text));
            args.name = errors.keep(read);
        }
        "retry" => args.retry = retry(meta, errors),
        _ => {
            let hint = did_you_mean(key, STEP_KEYS);
            let known = listed(&STEP_KEYS);
            let keys = format!("the keys of a step are {known}");
            errors.at(meta.path(), format!("unknown key `{key}`{hint} ({keys})"));
        }
    }
}

pub(crate) fn retry(meta: &Meta, errors: &mut Errors) -> Option<RetryArgs> {
    let this = key_of(meta);
    let Meta::List(list) = meta else {
        let text = format!("write `{this}(max_attempts = 8, backoff = \"200ms\")`");
        errors.at(meta, text);
        return None;
    };
    let mut args = RetryArgs::default();
    for meta in errors.keep(metas(list.tokens.clone()))? {
        match key_of(&meta).as_str() {
            "max_attempts" => {
                args.max_attempts = errors.keep(value(&meta).and_then(values::attempts));
            }
            "backoff" => args.backoff = errors.keep(value(&meta).and_then(values::duration)),
            "max_backoff" => {
                args.max_backoff = errors.keep(value(&meta).and_then(values::duration));
            }
            "multiplier" => {
                args.multiplier = errors.keep(value(&meta).and_then(values::multiplier));
            }
            key => {
                let hint = did_you_mean(key, RETRY_KEYS);
                errors.at(
                    meta.path(),
                    format!("unknown key `{key}` of `{this}`{hint}"),
                );
            }
        }
    }
    Some(args)
}

fn compensate(value: &Expr) -> syn::Result<Compensate> {
    match ident(value) {
        Some(word) if word == "none" => Ok(Compensate::Nothing),
        Some(method) => Ok(Compensate::With(method)),
        None => Err(syn::Error::new_spanned(
            value,
            "expected the name of a method of this block without quotes, or `none`",
        )),
    }
}

pub(crate) fn effects(value: &Expr) -> syn::Result<Effects> {
    match ident(value) {
        Some(word) if word == "external" => Ok(Effects::External),
        Some(word) if word == "local" => Ok(Effects::Local),
        _ => Err(syn::Error::new_spanned(
            value,
            "expected `external`, or `local`, which is the default",
        )),
    }
}

pub(crate) fn metas(tokens: TokenStream) -> syn::Result<Vec<Meta>> {
    let list = Punctuated::<Meta, Token![,]>::parse_terminated.parse2(tokens)?;
    Ok(list.into_iter().collect())
}

pub(crate) fn value(meta: &Meta) -> syn::Result<&Expr> {
    match meta {
        Meta::NameValue(pair) => Ok(&pair.value),
        other => {
            let key = key_of(other);
            Err(syn::Error::new_spanned(
                other,
                format!("write `{key} = ..`"),
            ))
        }
    }
}

pub(crate) fn key_of(meta: &Meta) -> String {
    let path = meta.path();
    path.get_ident().map_or_else(
        || quote::quote!(#path).to_string(),
        std::string::ToString::to_string,
    )
}

pub(crate) fn ident(value: &Expr) -> Option<Ident> {
    match value {
        Expr::Path(path) => path.path.get_ident().cloned(),
        _ => None,
    }
}
