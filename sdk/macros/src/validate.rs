//! From what was written to what is meant: every step with its partner, its
//! types and its stored name, or errors at the tokens at fault.

use std::collections::HashMap;

use proc_macro2::{Ident, Span};
use syn::ext::IdentExt;
use syn::{Attribute, Expr, ExprLit, ImplItem, ImplItemFn, ItemImpl, Lit, LitStr, Meta, Signature};

use crate::errors::{Errors, did_you_mean};
use crate::parse::{Compensate, Effects, RetryArgs, StepMethod};
use crate::signature::{self, PartnerTypes, Types};

/// A step that can be generated.
pub(crate) struct Step {
    pub(crate) method: ImplItemFn,
    pub(crate) constant: Ident,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) cfgs: Vec<Attribute>,
    pub(crate) effects: Effects,
    pub(crate) types: Types,
    pub(crate) undo: Option<Partner>,
    pub(crate) timeout: Option<std::time::Duration>,
    pub(crate) retry: Option<RetryArgs>,
}

/// The compensation of a step; the confirm or cancel of a branch.
pub(crate) struct Partner {
    pub(crate) method: Ident,
    pub(crate) types: PartnerTypes,
}

/// Checks that the block is one that can carry steps and handlers.
pub(crate) fn block(
    block: &ItemImpl,
    steps: &[StepMethod],
    any_handler: bool,
    errors: &mut Errors,
) {
    if let Some((_, path, _)) = &block.trait_ {
        errors.at(
            path,
            "a service is an `impl` block of its own, not of a trait",
        );
    } else if steps.is_empty() && !any_handler {
        errors.at(
            &block.self_ty,
            "a service needs at least one method with `#[step(compensate = ..)]`",
        );
    }
}

/// The steps that are right; what is wrong with the others is reported.
pub(crate) fn steps(
    block: &ItemImpl,
    found: Vec<StepMethod>,
    names: &mut Names,
    errors: &mut Errors,
) -> Vec<Step> {
    let methods = Methods::of(block, &found);
    let mut steps = Vec::new();
    for step in found {
        let ident = step.method.sig.ident.clone();
        let Some(name) = names.stored(&ident, step.args.name.as_ref(), errors) else {
            continue;
        };
        steps.extend(self::step(step, name, &methods, errors));
    }
    steps
}

/// The stored names of a block's steps and branches: each is there once.
#[derive(Default)]
pub(crate) struct Names(HashMap<String, Ident>);

impl Names {
    /// The name of a method as it is stored, if no other one has it.
    pub(crate) fn stored(
        &mut self,
        method: &Ident,
        given: Option<&LitStr>,
        errors: &mut Errors,
    ) -> Option<String> {
        let (name, span) = given.map_or_else(
            || (kebab(method), method.span()),
            |name| (name.value(), name.span()),
        );
        if let Some(first) = self.0.insert(name.clone(), method.clone()) {
            errors.at_span(
                span,
                format!("a step named `{name}` exists already: the method `{first}`"),
            );
            return None;
        }
        Some(name)
    }
}

fn step(
    step: StepMethod,
    name: String,
    methods: &Methods<'_>,
    errors: &mut Errors,
) -> Option<Step> {
    let StepMethod { args, method } = step;
    let types = signature::step(&method.sig, args.effects, errors);
    let undo = match &args.compensate {
        Compensate::Nothing => None,
        Compensate::Invalid => return None,
        Compensate::With(partner) => {
            let sig = methods.partner(partner, &method.sig, errors)?;
            let types = types.as_ref()?;
            let of = ("compensation", &method.sig);
            let types = signature::partner(sig, of, types, args.effects, errors)?;
            let method = partner.clone();
            Some(Partner { method, types })
        }
    };
    let types = types?;
    Some(Step {
        constant: constant(&method.sig.ident),
        name,
        description: description(&method.attrs),
        cfgs: cfgs(&method.attrs),
        effects: args.effects,
        types,
        undo,
        timeout: args.timeout,
        retry: args.retry,
        method,
    })
}

/// The methods of the block by name, and which of them are steps.
pub(crate) struct Methods<'a> {
    all: Vec<&'a Signature>,
    steps: Vec<String>,
}

impl<'a> Methods<'a> {
    pub(crate) fn of(block: &'a ItemImpl, steps: &[StepMethod]) -> Self {
        let all = block.items.iter().filter_map(|item| match item {
            ImplItem::Fn(method) => Some(&method.sig),
            _ => None,
        });
        Self {
            all: all.collect(),
            steps: steps
                .iter()
                .map(|s| s.method.sig.ident.to_string())
                .collect(),
        }
    }

    pub(crate) fn partner(
        &self,
        name: &Ident,
        of: &Signature,
        errors: &mut Errors,
    ) -> Option<&'a Signature> {
        if let Some(step) = self.steps.iter().find(|step| name == *step) {
            errors.at(
                name,
                format!("`{step}` is a step itself; a compensation is a plain method"),
            );
            return None;
        }
        let found = self.all.iter().find(|sig| sig.ident == *name);
        if found.is_none() {
            let others: Vec<String> = self
                .all
                .iter()
                .filter(|sig| sig.ident != of.ident)
                .map(|sig| sig.ident.to_string())
                .collect();
            let hint = did_you_mean(&name.to_string(), others.iter().map(String::as_str));
            errors.at(
                name,
                format!("there is no method `{name}` in this block{hint}"),
            );
        }
        found.copied()
    }
}

fn plain(ident: &Ident) -> String {
    let text = ident.unraw().to_string();
    let trimmed = text.trim_matches('_');
    if trimmed.is_empty() {
        text
    } else {
        trimmed.to_owned()
    }
}

fn kebab(ident: &Ident) -> String {
    plain(ident).to_lowercase().replace('_', "-")
}

pub(crate) fn constant(ident: &Ident) -> Ident {
    Ident::new(
        &plain(ident).to_uppercase(),
        Span::call_site().located_at(ident.span()),
    )
}

pub(crate) fn cfgs(attrs: &[Attribute]) -> Vec<Attribute> {
    let is_cfg = |attr: &&Attribute| attr.path().is_ident("cfg");
    attrs.iter().filter(is_cfg).cloned().collect()
}

/// The doc comment as plain text.
pub(crate) fn description(attrs: &[Attribute]) -> String {
    let lines = attrs.iter().filter_map(|attr| match &attr.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(ExprLit {
                lit: Lit::Str(text),
                ..
            }) => Some(text.value().trim().to_owned()),
            _ => None,
        },
        _ => None,
    });
    lines.collect::<Vec<_>>().join("\n").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use syn::parse::Parser;

    use super::*;

    #[test]
    fn names() {
        let check = |method: &str, name: &str, constant_name: &str| {
            let ident = Ident::parse_any.parse_str(method);
            let Ok(ident) = ident else {
                unreachable!("{method} is an identifier")
            };
            assert_eq!(
                (
                    kebab(&ident).as_str(),
                    constant(&ident).to_string().as_str()
                ),
                (name, constant_name)
            );
        };
        check("reserve", "reserve", "RESERVE");
        check("reserve_stock", "reserve-stock", "RESERVE_STOCK");
        check("r#use", "use", "USE");
        check("use_", "use", "USE");
    }
}
