//! From tokens to a condition, by recursive descent with a bounded depth.
//!
//! ```text
//! any       = all { OR all }
//! all       = test { AND test }
//! test      = NOT test | primary [ IS [NOT] (TRUE | FALSE | UNKNOWN) ]
//! primary   = '(' any ')' | predicate
//! predicate = operand [ comparison operand | IS [NOT] NULL
//!                     | [NOT] (BETWEEN operand AND operand | IN '(' operand {, operand} ')'
//!                             | LIKE text [ESCAPE text]) ]
//! ```
//! A header or a truth value may stand alone: `vip` is `vip = TRUE`.

use super::condition::{Condition, Operator};
use super::error::BadSql;
use super::like::{BadPattern, Pattern};
use super::token::{Sign, Spotted, Token, tokens};
use super::value::Operand;
use super::{MAX_SQL_DEPTH, MAX_SQL_LIST};

const OPERAND: &str = "a name, a text in single quotes, a number, TRUE, FALSE or NULL";
const KEYWORDS: [&str; 12] = [
    "AND", "BETWEEN", "ESCAPE", "FALSE", "IN", "IS", "LIKE", "NOT", "NULL", "OR", "TRUE", "UNKNOWN",
];

/// Parses a whole text.
pub(super) fn condition(text: &str) -> Result<Condition, BadSql> {
    let mut parser = Parser {
        tokens: tokens(text)?,
        next: 0,
        depth: 0,
    };
    let condition = parser.any()?;
    match parser.peek().token {
        Token::End => Ok(condition),
        _ => Err(parser.expected("AND, OR or the end")),
    }
}

struct Parser {
    /// The last one is the end, which is never taken.
    tokens: Vec<Spotted>,
    next: usize,
    depth: usize,
}

impl Parser {
    fn any(&mut self) -> Result<Condition, BadSql> {
        let mut parts = vec![self.all()?];
        while self.take("OR") {
            parts.push(self.all()?);
        }
        Ok(one_or(parts, Condition::Any))
    }

    fn all(&mut self) -> Result<Condition, BadSql> {
        let mut parts = vec![self.test()?];
        while self.take("AND") {
            parts.push(self.test()?);
        }
        Ok(one_or(parts, Condition::All))
    }

    fn test(&mut self) -> Result<Condition, BadSql> {
        if self.take("NOT") {
            let inner = self.deeper(Self::test)?;
            return Ok(Condition::Not(Box::new(inner)));
        }
        let inner = self.primary()?;
        if !self.take("IS") {
            return Ok(inner);
        }
        let negated = self.take("NOT");
        let wanted = match () {
            () if self.take("TRUE") => Some(true),
            () if self.take("FALSE") => Some(false),
            () if self.take("UNKNOWN") => None,
            () => return Err(self.expected("TRUE, FALSE or UNKNOWN")),
        };
        Ok(not_if(negated, Condition::Is(Box::new(inner), wanted)))
    }

    fn primary(&mut self) -> Result<Condition, BadSql> {
        if !self.take_sign(Sign::Open) {
            return self.predicate();
        }
        let inner = self.deeper(Self::any)?;
        self.close("AND, OR or )")?;
        Ok(inner)
    }

    fn predicate(&mut self) -> Result<Condition, BadSql> {
        let operand = self.operand()?;
        let at = self.peek().at;
        if let Some((operator, name)) = self.operator() {
            let right = self.operand()?;
            check_types(at, name, &[&operand, &right])?;
            if !matches!(operator, Operator::Equal | Operator::NotEqual) {
                check_order(at, name, &[&operand, &right])?;
            }
            let left = operand;
            return Ok(Condition::Compare {
                left,
                operator,
                right,
            });
        }
        if self.is_null_test() {
            self.take("IS");
            let negated = self.take("NOT");
            self.take("NULL");
            return Ok(not_if(negated, Condition::IsNull(operand)));
        }
        let negated = self.take("NOT");
        let at = self.peek().at;
        let condition = match () {
            () if self.take("BETWEEN") => self.between(at, operand)?,
            () if self.take("IN") => self.list(at, operand)?,
            () if self.take("LIKE") => self.like(at, operand)?,
            () if negated => return Err(self.expected("BETWEEN, IN or LIKE")),
            () => return self.alone(operand),
        };
        Ok(not_if(negated, condition))
    }

    fn between(&mut self, at: usize, operand: Operand) -> Result<Condition, BadSql> {
        let low = self.operand()?;
        if !self.take("AND") {
            return Err(self.expected("AND"));
        }
        let high = self.operand()?;
        check_types(at, "BETWEEN", &[&operand, &low])?;
        check_types(at, "BETWEEN", &[&operand, &high])?;
        check_order(at, "BETWEEN", &[&operand, &low, &high])?;
        Ok(Condition::Between { operand, low, high })
    }

    fn list(&mut self, at: usize, operand: Operand) -> Result<Condition, BadSql> {
        if !self.take_sign(Sign::Open) {
            return Err(self.expected("("));
        }
        let mut list = Vec::new();
        loop {
            let item = self.operand()?;
            check_types(at, "IN", &[&operand, &item])?;
            list.push(item);
            if list.len() > MAX_SQL_LIST {
                return Err(BadSql::ListTooLong { at });
            }
            if !self.take_sign(Sign::Comma) {
                break;
            }
        }
        self.close(", or )")?;
        Ok(Condition::In { operand, list })
    }

    fn like(&mut self, at: usize, operand: Operand) -> Result<Condition, BadSql> {
        let wrong = |rule| BadSql::Operands {
            at,
            operator: "LIKE",
            rule,
        };
        if matches!(operand, Operand::Number(_) | Operand::Truth(_)) {
            return Err(wrong("compares texts"));
        }
        let text = self.text("a pattern in single quotes")?;
        let escape = if self.take("ESCAPE") {
            let text = self.text("one character in single quotes")?;
            let mut chars = text.chars();
            match (chars.next(), chars.next()) {
                (Some(escape), None) => Some(escape),
                _ => return Err(wrong("wants exactly one ESCAPE character")),
            }
        } else {
            None
        };
        match Pattern::new(&text, escape) {
            Ok(pattern) => Ok(Condition::Like { operand, pattern }),
            Err(BadPattern::TooLong) => Err(BadSql::PatternTooLong { at }),
            Err(BadPattern::Escape) => Err(wrong(
                "allows its ESCAPE character before %, _ and itself only",
            )),
        }
    }

    /// An operand without an operator.
    fn alone(&self, operand: Operand) -> Result<Condition, BadSql> {
        match operand {
            Operand::Truth(truth) => Ok(Condition::Constant(truth)),
            operand if !operand.is_constant() => Ok(Condition::Compare {
                left: operand,
                operator: Operator::Equal,
                right: Operand::Truth(true),
            }),
            _ => Err(self.expected("a comparison, BETWEEN, IN, LIKE or IS")),
        }
    }

    fn operand(&mut self) -> Result<Operand, BadSql> {
        let negative = self.take_sign(Sign::Minus);
        if negative || self.take_sign(Sign::Plus) {
            let Token::Number(number) = self.peek().token else {
                return Err(self.expected("a number; there is no arithmetic"));
            };
            self.next += 1;
            return Ok(Operand::Number(if negative {
                number.negated()
            } else {
                number
            }));
        }
        let operand = match &self.peek().token {
            Token::Text(text) => Operand::Text(text.clone()),
            Token::Number(number) => Operand::Number(*number),
            Token::Quoted(name) => Operand::Header(name.clone()),
            Token::Word(word) => match word.to_ascii_uppercase().as_str() {
                "TRUE" => Operand::Truth(true),
                "FALSE" => Operand::Truth(false),
                "NULL" => Operand::Null,
                "TAG" => Operand::Tag,
                "KEY" => Operand::Key,
                "ID" => Operand::Id,
                keyword if KEYWORDS.contains(&keyword) => return Err(self.expected(OPERAND)),
                _ => Operand::Header(word.clone()),
            },
            Token::Sign(_) | Token::End => return Err(self.expected(OPERAND)),
        };
        self.next += 1;
        Ok(operand)
    }

    fn operator(&mut self) -> Option<(Operator, &'static str)> {
        let Token::Sign(sign) = self.peek().token else {
            return None;
        };
        let operator = match sign {
            Sign::Equal => Operator::Equal,
            Sign::NotEqual => Operator::NotEqual,
            Sign::Less => Operator::Less,
            Sign::LessOrEqual => Operator::LessOrEqual,
            Sign::Greater => Operator::Greater,
            Sign::GreaterOrEqual => Operator::GreaterOrEqual,
            Sign::Open | Sign::Close | Sign::Comma | Sign::Plus | Sign::Minus => return None,
        };
        self.next += 1;
        Some((operator, sign.as_str()))
    }

    /// `IS NULL` belongs to its operand, `IS TRUE` to a whole condition.
    fn is_null_test(&self) -> bool {
        let is = |ahead: usize, keyword| self.is_keyword(self.next + ahead, keyword);
        is(0, "IS") && (is(1, "NULL") || (is(1, "NOT") && is(2, "NULL")))
    }

    fn text(&mut self, expected: &'static str) -> Result<String, BadSql> {
        let Token::Text(text) = &self.peek().token else {
            return Err(self.expected(expected));
        };
        let text = text.clone();
        self.next += 1;
        Ok(text)
    }

    fn deeper(
        &mut self,
        parse: impl Fn(&mut Self) -> Result<Condition, BadSql>,
    ) -> Result<Condition, BadSql> {
        if self.depth == MAX_SQL_DEPTH {
            let at = self.peek().at;
            return Err(BadSql::TooDeep { at });
        }
        self.depth += 1;
        let found = parse(self);
        self.depth -= 1;
        found
    }

    fn peek(&self) -> &Spotted {
        static END: Spotted = Spotted {
            at: 0,
            token: Token::End,
        };
        self.tokens.get(self.next).unwrap_or(&END)
    }

    fn is_keyword(&self, ix: usize, keyword: &str) -> bool {
        match self.tokens.get(ix).map(|spotted| &spotted.token) {
            Some(Token::Word(word)) => word.eq_ignore_ascii_case(keyword),
            _ => false,
        }
    }

    fn take(&mut self, keyword: &str) -> bool {
        let found = self.is_keyword(self.next, keyword);
        self.next += usize::from(found);
        found
    }

    fn take_sign(&mut self, sign: Sign) -> bool {
        let found = self.peek().token == Token::Sign(sign);
        self.next += usize::from(found);
        found
    }

    fn close(&mut self, expected: &'static str) -> Result<(), BadSql> {
        if self.take_sign(Sign::Close) {
            return Ok(());
        }
        Err(self.expected(expected))
    }

    fn expected(&self, expected: &'static str) -> BadSql {
        let Spotted { at, token } = self.peek();
        BadSql::Expected {
            at: *at,
            expected,
            found: token.show(),
        }
    }
}

fn one_or(mut parts: Vec<Condition>, many: fn(Vec<Condition>) -> Condition) -> Condition {
    match parts.pop() {
        Some(only) if parts.is_empty() => only,
        last => {
            parts.extend(last);
            many(parts)
        }
    }
}

fn not_if(negated: bool, condition: Condition) -> Condition {
    if negated {
        Condition::Not(Box::new(condition))
    } else {
        condition
    }
}

/// A number beside a truth value would be unknown for every message.
fn check_types(at: usize, operator: &'static str, operands: &[&Operand]) -> Result<(), BadSql> {
    let has = |is: fn(&Operand) -> bool| operands.iter().any(|operand| is(operand));
    if has(|o| matches!(o, Operand::Number(_))) && has(|o| matches!(o, Operand::Truth(_))) {
        let rule = "cannot compare a number with a truth value";
        return Err(BadSql::Operands { at, operator, rule });
    }
    Ok(())
}

fn check_order(at: usize, operator: &'static str, operands: &[&Operand]) -> Result<(), BadSql> {
    if operands.iter().any(|o| matches!(o, Operand::Truth(_))) {
        let rule = "cannot order truth values; use = and <>";
        return Err(BadSql::Operands { at, operator, rule });
    }
    Ok(())
}
