//! `#[tcc(..)]`: from its tokens to a constant and the call of the builder.

use proc_macro2::{Ident, TokenStream};
use quote::quote;
use syn::spanned::Spanned;
use syn::{Attribute, Expr, ImplItem, ImplItemFn, ItemImpl, LitStr, Meta};

use crate::errors::{Errors, did_you_mean, listed};
use crate::expand::{duration, retry};
use crate::parse::{self, Effects, MAX_STEP_NAME, RetryArgs, ident, key_of, metas, value};
use crate::signature::{self, Types};
use crate::validate::{Methods, Names, Partner, cfgs, constant, description};
use crate::values;

const KEYS: [&str; 6] = [
    "cancel",
    "confirm",
    "name",
    "retry",
    "settle_retry",
    "timeout",
];
/// What else a method can be, and is not together with this.
const OTHER_ROLES: [&str; 3] = ["step", "on_message", "half_message"];

/// A branch that can be generated.
pub(crate) struct Branch {
    method: ImplItemFn,
    cfgs: Vec<Attribute>,
    name: String,
    types: Types,
    confirm: Partner,
    cancel: Partner,
    timeout: Option<std::time::Duration>,
    retry: Option<RetryArgs>,
    settle_retry: Option<RetryArgs>,
}

/// What `#[tcc(..)]` says.
#[derive(Default)]
struct Args {
    confirm: Option<Ident>,
    cancel: Option<Ident>,
    name: Option<LitStr>,
    timeout: Option<std::time::Duration>,
    retry: Option<RetryArgs>,
    settle_retry: Option<RetryArgs>,
}

/// Takes the `#[tcc]` attributes off the block and reads them. Says also
/// whether there was any, right or wrong. To be called before other roles are taken.
pub(crate) fn take(
    block: &mut ItemImpl,
    names: &mut Names,
    errors: &mut Errors,
) -> (Vec<Branch>, bool) {
    let called = with_a_role(block);
    let mut found = Vec::new();
    for item in &mut block.items {
        let ImplItem::Fn(method) = item else { continue };
        let (mut attrs, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut method.attrs)
            .into_iter()
            .partition(|attr| attr.path().is_ident("tcc"));
        method.attrs = rest;
        for second in attrs.drain(1.min(attrs.len())..) {
            errors.at(second, "this method is a try already; write another method");
        }
        let Some(attr) = attrs.pop() else { continue };
        let is_role = |attr: &Attribute| OTHER_ROLES.iter().any(|role| attr.path().is_ident(role));
        if method.attrs.iter().any(is_role) {
            let text = "a method is a try, is a step, handles messages or sends a half message: \
                        one of them";
            errors.at(&attr, text);
            // The other role would bring errors of its own.
            method.attrs.retain(|attr| !is_role(attr));
        } else {
            found.push((attr, method.clone()));
        }
    }
    let any = !found.is_empty();
    let methods = Methods::of(block, &[]);
    let block = Block {
        methods: &methods,
        called: &called,
    };
    let branches = found
        .into_iter()
        .filter_map(|(attr, method)| branch(&attr, method, &block, names, errors));
    (branches.collect(), any)
}

/// The methods of a block, and which of them somebody calls.
struct Block<'a> {
    methods: &'a Methods<'a>,
    called: &'a [String],
}

fn with_a_role(block: &ItemImpl) -> Vec<String> {
    let is_role = |attr: &Attribute| {
        attr.path().is_ident("tcc") || OTHER_ROLES.iter().any(|role| attr.path().is_ident(role))
    };
    let called = block.items.iter().filter_map(|item| match item {
        ImplItem::Fn(method) if method.attrs.iter().any(is_role) => {
            Some(method.sig.ident.to_string())
        }
        _ => None,
    });
    called.collect()
}

fn branch(
    attr: &Attribute,
    method: ImplItemFn,
    block: &Block<'_>,
    names: &mut Names,
    errors: &mut Errors,
) -> Option<Branch> {
    let args = args(attr, errors);
    let types = signature::tcc(&method.sig, errors);
    let name = names.stored(&method.sig.ident, args.name.as_ref(), errors);
    let mut partner = |what: &str, named: Option<Ident>| {
        let named = named?;
        if block.called.iter().any(|method| named == method) {
            let text =
                format!("`{named}` is called in a role of its own; a {what} is a plain method");
            errors.at(&named, text);
            return None;
        }
        let sig = block.methods.partner(&named, &method.sig, errors)?;
        let of = (what, &method.sig);
        let types = signature::partner(sig, of, types.as_ref()?, Effects::Local, errors)?;
        Some(Partner {
            method: named,
            types,
        })
    };
    let confirm = partner("confirm", args.confirm);
    let cancel = partner("cancel", args.cancel);
    Some(Branch {
        cfgs: cfgs(&method.attrs),
        method,
        name: name?,
        types: types?,
        confirm: confirm?,
        cancel: cancel?,
        timeout: args.timeout,
        retry: args.retry,
        settle_retry: args.settle_retry,
    })
}

fn args(attr: &Attribute, errors: &mut Errors) -> Args {
    let mut args = Args::default();
    let list = match &attr.meta {
        Meta::List(list) => errors.keep(metas(list.tokens.clone())),
        Meta::Path(_) => Some(Vec::new()),
        Meta::NameValue(_) => {
            errors.at(attr, "write `#[tcc(confirm = .., cancel = ..)]`");
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
        one(&key, meta, &mut args, errors);
        seen.push(key);
    }
    for (key, what) in [
        ("confirm", "makes final what this try holds"),
        ("cancel", "lets go of what this try holds"),
    ] {
        let meant = format!("`{key}`");
        let nearly = |seen: &String| did_you_mean(seen, KEYS).contains(&meant);
        if !seen.iter().any(|seen| seen == key || nearly(seen)) {
            let text = format!("which method {what}? Name it with `{key} = method`");
            errors.at_span(attr.path().span(), text);
        }
    }
    args
}

fn one(key: &str, meta: &Meta, args: &mut Args, errors: &mut Errors) {
    match key {
        "confirm" => args.confirm = errors.keep(value(meta).and_then(method)),
        "cancel" => args.cancel = errors.keep(value(meta).and_then(method)),
        "timeout" => args.timeout = errors.keep(value(meta).and_then(values::duration)),
        "retry" => args.retry = parse::retry(meta, errors),
        "settle_retry" => args.settle_retry = parse::retry(meta, errors),
        "name" => {
            let read = value(meta)
                .and_then(|value| values::string(value, "the branch's name as a string"))
                .and_then(|text| values::stored_name(&text, MAX_STEP_NAME).map(|()| text));
            args.name = errors.keep(read);
        }
        _ => {
            let (hint, known) = (did_you_mean(key, KEYS), listed(&KEYS));
            let keys = format!("the keys of a try are {known}");
            errors.at(meta.path(), format!("unknown key `{key}`{hint} ({keys})"));
        }
    }
}

fn method(value: &Expr) -> syn::Result<Ident> {
    let text = match ident(value) {
        Some(word) if word == "none" => {
            "a branch has both: where there is nothing to do, name a method that does nothing"
        }
        Some(method) => return Ok(method),
        None => "expected the name of a method of this block without quotes",
    };
    Err(syn::Error::new_spanned(value, text))
}

impl Branch {
    /// `Wallet::FREEZE`.
    pub(crate) fn constant(&self, service: &LitStr) -> TokenStream {
        let Self {
            method, cfgs, name, ..
        } = self;
        let vis = &method.vis;
        let constant = constant(&method.sig.ident);
        let (input, output) = (&self.types.input, &self.types.output);
        let timeout = self.timeout.map(duration).into_iter();
        let retries = self.retry.iter().map(|args| retry(args, &quote!(DEFAULT)));
        let settle = self
            .settle_retry
            .iter()
            .map(|args| retry(args, &quote!(SETTLE)));
        let docs = format!(
            "The branch `{name}`, for use in TCCs.\n\n{}",
            description(&method.attrs)
        );
        quote! {
            #(#cfgs)*
            #[doc = #docs]
            #vis const #constant: ::amends::TccRef<#input, #output> =
                ::amends::TccRef::new(#service, #name)
                #(.with_timeout(#timeout))*
                #(.with_retry(#retries))*
                #(.with_settle_retry(#settle))*;
        }
    }

    /// What the description of the service says about it.
    pub(crate) fn registration(&self) -> TokenStream {
        let Self {
            cfgs,
            confirm,
            cancel,
            ..
        } = self;
        let method = &self.method.sig.ident;
        let constant = constant(method);
        let description = description(&self.method.attrs);
        quote! {
            #(#cfgs)*
            let builder = builder.tcc(
                Self::#constant,
                #description,
                |service, context, input| {
                    ::std::boxed::Box::pin(Self::#method(service, context, input))
                },
                #confirm,
                #cancel,
            );
        }
    }
}
