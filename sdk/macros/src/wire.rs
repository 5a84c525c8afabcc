//! `wire!`: a struct literal whose fields are references, plain values,
//! nested struct literals, or arrays of these.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::parse::Parser;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Expr, ExprStruct, Token};

/// The whole of `wire!`.
pub(crate) fn expand(input: TokenStream) -> TokenStream {
    let literal: syn::Result<Expr> = syn::parse2(input);
    match literal {
        Ok(Expr::Struct(literal)) => structure(&literal),
        Ok(other) => {
            let text = "expected a struct: `wire!(ReserveReq { goods: input.goods })`";
            syn::Error::new_spanned(other, text).into_compile_error()
        }
        Err(error) => error.into_compile_error(),
    }
}

fn structure(literal: &ExprStruct) -> TokenStream {
    let path = &literal.path;
    let span = path.span();
    let fields = literal.fields.iter().map(|field| {
        let (member, value) = (&field.member, value(&field.expr));
        quote! { #member: #value }
    });
    let rest = literal.rest.as_ref().map(|rest| {
        quote_spanned! { rest.span()=> ..::core::clone::Clone::clone(::amends::Val::<#path>::fields(&#rest)) }
    });
    // An alias, because a struct literal cannot name an associated type directly.
    let alias = quote_spanned! { span=> __Fields };
    let build = quote_spanned! { span=> <#path as ::amends::Wire>::build };
    quote! {{
        type #alias = <#path as ::amends::Wire>::Fields;
        #build(#alias { #(#fields,)* #rest })
    }}
}

fn value(expr: &Expr) -> TokenStream {
    match expr {
        Expr::Struct(literal) => structure(literal),
        Expr::Array(array) => {
            let items = array.elems.iter().map(value);
            quote_spanned! { expr.span()=> ::amends::Val::list([#(#items),*]) }
        }
        // `vec![..]` as well, since that is what the field of the struct would take.
        Expr::Macro(call) if call.mac.path.is_ident("vec") => {
            let parser = Punctuated::<Expr, Token![,]>::parse_terminated;
            match parser.parse2(call.mac.tokens.clone()) {
                Ok(items) => {
                    let items = items.iter().map(value);
                    quote_spanned! { expr.span()=> ::amends::Val::list([#(#items),*]) }
                }
                Err(_) => converted(expr),
            }
        }
        other => converted(other),
    }
}

fn converted(expr: &Expr) -> TokenStream {
    let reference = quote_spanned! { expr.span()=> &(#expr) };
    quote_spanned! { expr.span()=> ::amends::ToVal::to_val(#reference) }
}
