package flow

import (
	"time"

	"github.com/orchis-run/orchis/internal/expr"
)

// kind describes the value of a key: its JSON Schema, and how the parser reads it
// into a T. The functions below make the usual kinds. The argument at finds the
// field of T that holds the value.
type kind[T any] struct {
	schema schema
	read   func(d *draft, to *T, k, v *value)
	// copy takes the value from another T. Keys that jobs inherit need it.
	copy func(to, from *T)
}

// as makes a kind from a schema and a function that reads into one field.
func as[T, V any](s schema, at func(*T) *V, read func(d *draft, to *V, k, v *value)) kind[T] {
	return kind[T]{
		schema: s,
		read:   func(d *draft, to *T, k, v *value) { read(d, at(to), k, v) },
		copy:   func(to, from *T) { *at(to) = *at(from) },
	}
}

func asText[T any](at func(*T) *string) kind[T] { return as(typed("string"), at, (*draft).text) }

func asBoolean[T any](at func(*T) *bool) kind[T] { return as(typed("boolean"), at, (*draft).boolean) }

func asDuration[T any](at func(*T) *time.Duration) kind[T] {
	return as(ref("duration"), at, (*draft).duration)
}

// asLifetime is a duration of at least a minute.
func asLifetime[T any](at func(*T) *time.Duration) kind[T] {
	return as(ref("duration"), at, (*draft).lifetime)
}

func asPriority[T any](at func(*T) *int) kind[T] { return as(ref("priority"), at, (*draft).priority) }

// asQueue is the name of a queue.
func asQueue[T any](at func(*T) *string) kind[T] { return as(ref("name"), at, (*draft).queue) }

// asTexts is a map of texts.
func asTexts[T any](at func(*T) *map[string]string) kind[T] {
	return as(ref("texts"), at, (*draft).texts)
}

// asWords is a list of texts.
func asWords[T any](at func(*T) *[]string) kind[T] {
	return as(listOf(ref("scalar")), at, (*draft).words)
}

// asNames is a text, or a list of texts.
func asNames[T any](at func(*T) *[]string) kind[T] {
	return as(one(typed("string"), listOf(ref("scalar"))), at, (*draft).names)
}

func asNumber[T any](at func(*T) **float64) kind[T] { return as(typed("number"), at, (*draft).number) }

// asLength is a whole number of at least 0 that may be absent.
func asLength[T any](at func(*T) **int) kind[T] { return as(least(0), at, (*draft).length) }

// asCount is a whole number of at least atLeast.
func asCount[T any](atLeast int, at func(*T) *int) kind[T] {
	return as(least(atLeast), at, func(d *draft, to *int, k, v *value) { d.count(to, atLeast, k, v) })
}

// asReal is a number in a range, both ends included.
func asReal[T any](from, upTo float64, at func(*T) *float64) kind[T] {
	s := schema{"type": "number", "minimum": from, "maximum": upTo}
	return as(s, at, func(d *draft, to *float64, k, v *value) { d.real(to, from, upTo, k, v) })
}

// asChoice is one of a few words.
func asChoice[T any, S ~string](at func(*T) *S, choices ...string) kind[T] {
	return as(words(choices...), at, func(d *draft, to *S, k, v *value) {
		var word string
		if d.choice(&word, choices, k, v) {
			*to = S(word)
		}
	})
}

// asTemplate is any value with expressions; u says what they may read.
func asTemplate[T any](u use, at func(*T) **expr.Template) kind[T] {
	return as(anything(), at, func(d *draft, to **expr.Template, k, v *value) {
		d.used(v, u)
		d.template(to, k, v)
	})
}

// asCondition is one expression without ${}; u says what it may read.
func asCondition[T any](u use, at func(*T) **expr.Condition) kind[T] {
	u.condition = true
	return as(one(typed("string"), typed("boolean")), at, func(d *draft, to **expr.Condition, k, v *value) {
		d.used(v, u)
		d.condition(to, k, v)
	})
}

// asInputs is a map of declarations, or of constants.
func asInputs[T any](at func(*T) *[]Input) kind[T] {
	return as(declarations(), at, func(d *draft, to *[]Input, _, v *value) { *to = d.readInputs(v) })
}

// asContract is a map of types, or of declarations.
func asContract[T any](at func(*T) *[]Input) kind[T] {
	return as(results(), at, func(d *draft, to *[]Input, _, v *value) { *to = d.readContract(v) })
}

// asPart is a map with keys of its own.
func asPart[T, P any](p *part[P], at func(*T) **P) kind[T] {
	return as(ref(p.name), at, func(d *draft, to **P, k, v *value) {
		*to = new(P)
		p.fill(d, *to, k, v)
	})
}
