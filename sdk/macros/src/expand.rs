//! From checked steps to code: one constant per step and the description of
//! the service. What is written here could be written by hand.

use std::time::Duration;

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote};
use syn::spanned::Spanned;
use syn::{ItemImpl, LitStr, Type};

use crate::errors::Errors;
use crate::half::{self, Half};
use crate::message;
use crate::parse::{self, Effects, RetryArgs};
use crate::tcc::{self, Branch};
use crate::validate::{self, Names, Partner, Step};

/// The whole of `#[amends::service]`. Whatever is wrong, the block comes back
/// with the errors beside it, and with everything that was right.
pub(crate) fn service(args: TokenStream, item: TokenStream) -> TokenStream {
    let unparsed = item.clone();
    let mut block: ItemImpl = match syn::parse2(item) {
        Ok(block) => block,
        Err(error) => {
            let error = error.into_compile_error();
            return quote! { #unparsed #error };
        }
    };
    let mut errors = Errors::default();
    let mut cancels = Vec::new();
    let name = parse::service_args(args, &mut cancels, &mut errors)
        .unwrap_or_else(|| LitStr::new("unnamed", Span::call_site()));
    let mut names = Names::default();
    let (branches, any_branch) = tcc::take(&mut block, &mut names, &mut errors);
    let (handlers, any_handler) = message::take(&mut block, &mut errors);
    let (halves, any_half) = half::take(&mut block, &mut errors);
    let found = parse::take_steps(&mut block, &mut errors);
    let any_other = any_branch || any_handler || any_half;
    validate::block(&block, &found, any_other, &mut errors);
    let steps = validate::steps(&block, found, &mut names, &mut errors);

    let constants = steps.iter().map(|step| constant(&name, step));
    let constants = constants.chain(branches.iter().map(|branch| branch.constant(&name)));
    let half_constants = halves.iter().map(|half| half.constant(&name));
    let registrations = steps.iter().map(registration);
    let registrations = registrations.chain(branches.iter().map(Branch::registration));
    let registrations = registrations.chain(handlers.iter().map(ToTokens::to_token_stream));
    let registrations = registrations.chain(halves.iter().filter_map(Half::registration));
    let service = definition(&block, &name, registrations, &cancels);
    let (generics, ty) = (&block.generics, &block.self_ty);
    let (impl_generics, _, where_clause) = generics.split_for_impl();
    let errors = errors.into_tokens();
    quote! {
        #block
        impl #impl_generics #ty #where_clause { #(#constants)* #(#half_constants)* }
        #service
        #errors
    }
}

fn definition(
    block: &ItemImpl,
    name: &LitStr,
    registrations: impl Iterator<Item = TokenStream>,
    cancels: &[TokenStream],
) -> TokenStream {
    let ty = &block.self_ty;
    let (impl_generics, _, where_clause) = block.generics.split_for_impl();
    quote! {
        #[automatically_derived]
        impl #impl_generics ::amends::Service for #ty #where_clause {
            const NAME: &'static str = #name;

            fn define(self: ::std::sync::Arc<Self>) -> ::amends::ServiceDef {
                let builder = ::amends::ServiceBuilder::new(#name, self) #(#cancels)*;
                #(#registrations)*
                builder.build()
            }
        }
    }
}

fn constant(service: &LitStr, step: &Step) -> TokenStream {
    let Step {
        constant,
        name,
        cfgs,
        ..
    } = step;
    let vis = &step.method.vis;
    let (input, output) = (&step.types.input, &step.types.output);
    let timeout = step.timeout.map(|timeout| {
        let timeout = duration(timeout);
        quote! { .with_timeout(#timeout) }
    });
    let retry = step.retry.as_ref().map(|args| {
        let retry = retry(args, &quote!(DEFAULT));
        quote! { .with_retry(#retry) }
    });
    let compensation = step.undo.is_none().then(|| {
        quote! { .with_compensation(::amends::Compensation::None) }
    });
    let effects = (step.effects == Effects::External).then(|| {
        quote! { .with_effects(::amends::Effects::External) }
    });
    let docs = format!(
        "The step `{name}`, for use in sagas.\n\n{}",
        step.description
    );
    quote! {
        #(#cfgs)*
        #[doc = #docs]
        #vis const #constant: ::amends::StepRef<#input, #output> =
            ::amends::StepRef::new(#service, #name) #timeout #retry #compensation #effects;
    }
}

fn registration(step: &Step) -> TokenStream {
    let Step {
        constant,
        description,
        cfgs,
        types,
        ..
    } = step;
    let method = &step.method.sig.ident;
    let (input, output) = (&types.input, &types.output);
    let (add, undo_type) = match step.effects {
        Effects::Local => (quote!(local_step), quote!(::amends::LocalUndo)),
        Effects::External => (quote!(external_step), quote!(::amends::ExternalUndo)),
    };
    let undo = step.undo.as_ref().map_or_else(
        || quote!(::core::option::Option::None),
        |undo| quote!(::core::option::Option::Some(#undo)),
    );
    quote! {
        #(#cfgs)*
        let builder = {
            let undo: ::core::option::Option<#undo_type<Self, #input, #output>> = #undo;
            builder.#add(
                Self::#constant,
                #description,
                |service, context, input| {
                    ::std::boxed::Box::pin(Self::#method(service, context, input))
                },
                undo,
            )
        };
    }
}

impl ToTokens for Partner {
    /// The arguments stand where the parameters' types are written, so that a
    /// wrong type is reported there.
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let method = &self.method;
        let input = located("input", &self.types.input);
        let output = located("output", &self.types.output);
        tokens.extend(quote! {
            |service, context, #input, #output| {
                ::std::boxed::Box::pin(Self::#method(service, context, #input, #output))
            }
        });
    }
}

/// An identifier of the generated code that shows where `at` is written.
fn located(name: &str, at: &Type) -> Ident {
    Ident::new(name, Span::call_site().located_at(at.span()))
}

/// A `Retry`; what is not said is as in its constant `rest`.
pub(crate) fn retry(args: &RetryArgs, rest: &TokenStream) -> TokenStream {
    let max_attempts = args.max_attempts.map(|n| quote! { max_attempts: #n, });
    let backoff = args.backoff.map(duration);
    let backoff = backoff.map(|d| quote! { initial_backoff: #d, });
    let max_backoff = args.max_backoff.map(duration);
    let max_backoff = max_backoff.map(|d| quote! { max_backoff: #d, });
    let multiplier = args
        .multiplier
        .map(|factor| quote! { multiplier: #factor, });
    quote! {
        ::amends::Retry {
            #max_attempts #backoff #max_backoff #multiplier
            ..::amends::Retry::#rest
        }
    }
}

pub(crate) fn duration(duration: Duration) -> TokenStream {
    // Parsed from whole milliseconds, at most a day.
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    quote! { ::core::time::Duration::from_millis(#millis) }
}
