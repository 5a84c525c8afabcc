//! `#[half_message(..)]`: from its tokens to a constant, and to the check of
//! the service's own where there is one.

use std::collections::HashMap;

use proc_macro2::{Ident, TokenStream};
use quote::quote;
use syn::spanned::Spanned;
use syn::{Attribute, ImplItem, ImplItemFn, ItemImpl, LitStr, Meta};

use crate::errors::{Errors, did_you_mean, listed};
use crate::expand::duration;
use crate::message::name;
use crate::parse::{ident, key_of, metas, value};
use crate::signature::{self, Types};
use crate::validate::{Methods, cfgs, constant, description};
use crate::values;

const KEYS: [&str; 4] = ["check_after", "check_back", "tag", "topic"];

/// A half message that can be generated.
pub(crate) struct Half {
    method: ImplItemFn,
    cfgs: Vec<Attribute>,
    args: Args,
    types: Types,
}

struct Args {
    topic: LitStr,
    tag: Option<LitStr>,
    check_after: Option<std::time::Duration>,
    check_back: Option<Ident>,
}

/// Takes the `#[half_message]` attributes off the block and reads them. Says
/// also whether there was any, right or wrong.
pub(crate) fn take(block: &mut ItemImpl, errors: &mut Errors) -> (Vec<Half>, bool) {
    let mut found = Vec::new();
    for item in &mut block.items {
        let ImplItem::Fn(method) = item else { continue };
        let (mut attrs, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut method.attrs)
            .into_iter()
            .partition(|attr| attr.path().is_ident("half_message"));
        method.attrs = rest;
        for second in attrs.drain(1.min(attrs.len())..) {
            errors.at(
                second,
                "this method sends a half message already; write another method",
            );
        }
        let Some(attr) = attrs.pop() else { continue };
        let is_role = |attr: &Attribute| {
            ["step", "on_message"]
                .iter()
                .any(|role| attr.path().is_ident(role))
        };
        if method.attrs.iter().any(is_role) {
            errors.at(
                &attr,
                "a method sends a half message, is a step or handles messages: one of them",
            );
            // The other role would bring errors of its own.
            method.attrs.retain(|attr| !is_role(attr));
        } else {
            found.push((attr, method.clone()));
        }
    }
    let any = !found.is_empty();
    let methods = Methods::of(block, &[]);
    let halves = found
        .into_iter()
        .filter_map(|(attr, method)| half(&attr, method, &methods, errors));
    let halves: Vec<Half> = halves.collect();
    tell_apart(&halves, errors);
    (halves, any)
}

fn half(
    attr: &Attribute,
    method: ImplItemFn,
    methods: &Methods<'_>,
    errors: &mut Errors,
) -> Option<Half> {
    let args = args(attr, errors)?;
    let types = match &args.check_back {
        None => signature::half(&method.sig, errors),
        Some(check) => {
            let types = signature::external_half(&method.sig, errors);
            let sig = methods.partner(check, &method.sig, errors)?;
            signature::check_back(sig, &method.sig, errors)?;
            types
        }
    }?;
    Some(Half {
        cfgs: cfgs(&method.attrs),
        method,
        args,
        types,
    })
}

/// Checks come with the topic and the tag: by them a check of its own is found.
fn tell_apart(halves: &[Half], errors: &mut Errors) {
    let mut taken: HashMap<(String, String), &Half> = HashMap::new();
    for half in halves {
        let tag = half.args.tag.as_ref().map(LitStr::value);
        let place = (half.args.topic.value(), tag.unwrap_or_default());
        let Some(first) = taken.insert(place, half) else {
            continue;
        };
        if first.args.check_back.is_some() || half.args.check_back.is_some() {
            errors.at(
                &half.args.topic,
                format!(
                    "a check-back could not tell this half message from that of `{}`: \
                     give it another `tag`",
                    first.method.sig.ident
                ),
            );
        }
    }
}

fn args(attr: &Attribute, errors: &mut Errors) -> Option<Args> {
    let list = match &attr.meta {
        Meta::List(list) => errors.keep(metas(list.tokens.clone()))?,
        Meta::Path(_) => Vec::new(),
        Meta::NameValue(_) => {
            errors.at(attr, "write `#[half_message(topic = \"..\")]`");
            return None;
        }
    };
    let (mut topic, mut tag, mut check_after, mut check_back) = (None, None, None, None);
    let mut seen: Vec<String> = Vec::new();
    for meta in &list {
        let key = key_of(meta);
        if seen.contains(&key) {
            errors.at(meta.path(), format!("`{key}` is given twice"));
            continue;
        }
        match key.as_str() {
            "topic" => topic = errors.keep(value(meta).and_then(name)),
            "tag" => tag = errors.keep(value(meta).and_then(name)),
            "check_after" => {
                check_after = errors.keep(value(meta).and_then(values::duration));
            }
            "check_back" => check_back = errors.keep(value(meta).and_then(method)),
            _ => {
                let (hint, known) = (did_you_mean(&key, KEYS), listed(&KEYS));
                let keys = format!("the keys of a half message are {known}");
                errors.at(meta.path(), format!("unknown key `{key}`{hint} ({keys})"));
            }
        }
        seen.push(key);
    }
    let nearly = |key: &String| did_you_mean(key, KEYS).contains("`topic`");
    if !seen.iter().any(|key| key == "topic" || nearly(key)) {
        errors.at_span(
            attr.path().span(),
            "where does the message go? Say `topic = \"..\"`",
        );
    }
    // What it would have said decides what the method must look like.
    if check_back.is_none() && seen.iter().any(|key| key == "check_back") {
        return None;
    }
    Some(Args {
        topic: topic?,
        tag,
        check_after,
        check_back,
    })
}

fn method(value: &syn::Expr) -> syn::Result<Ident> {
    ident(value).ok_or_else(|| {
        let text = "expected the name of a method of this block without quotes";
        syn::Error::new_spanned(value, text)
    })
}

impl Half {
    /// `Payments::PAY`.
    pub(crate) fn constant(&self, service: &LitStr) -> TokenStream {
        let Self {
            method,
            cfgs,
            args,
            types,
        } = self;
        let (vis, method_name) = (&method.vis, &method.sig.ident);
        let (input, output) = (&types.input, &types.output);
        let constant = constant(method_name);
        let kind = match args.check_back {
            None => quote!(HalfRef),
            Some(_) => quote!(ExternalHalfRef),
        };
        let (topic, tag) = (&args.topic, args.tag.iter());
        let check_after = args.check_after.map(duration).into_iter();
        let docs = format!(
            "The half message of `{method_name}`, to be sent with a client.\n\n{}",
            description(&method.attrs)
        );
        quote! {
            #(#cfgs)*
            #[doc = #docs]
            #vis const #constant: ::amends::#kind<Self, #input, #output> =
                ::amends::#kind::new(#service, #topic, |service, context, input| {
                    ::std::boxed::Box::pin(Self::#method_name(service, context, input))
                })
                #(.with_tag(#tag))*
                #(.with_check_after(#check_after))*;
        }
    }

    /// What the description of the service says about it.
    pub(crate) fn registration(&self) -> Option<TokenStream> {
        let (cfgs, check) = (&self.cfgs, self.args.check_back.as_ref()?);
        let topic = &self.args.topic;
        let tag = self.args.tag.as_ref().map(LitStr::value);
        let tag = tag.unwrap_or_default();
        Some(quote! {
            #(#cfgs)*
            let builder = builder.check_back(#topic, #tag, |service, context| {
                ::std::boxed::Box::pin(Self::#check(service, context))
            });
        })
    }
}
