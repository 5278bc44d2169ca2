package expr

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
)

func expressions(f *testing.F) {
	f.Helper()
	for _, s := range []string{
		"", "${inputs.n + 1}", "${fetch.file ?? 'x'}", "a ${inputs.list[0]} b", "${map(inputs.list, x, x * 2)}", "$${x}", "${", "${}", "${1/0}",
		"${inputs.trick}", "${'\\u0000'}", "${((((((1))))))}", "${[1,2,{a: 3}]}", "${inputs.m['k']}", "${-9223372036854775808 % -1}", "${1e308 * 10}",
		"success() && inputs.flag", "!failure()", "inputs.n in [1, 2, 3]", "range(0, 1000000000)", "join(split('a,b', ','), ';')",
	} {
		f.Add(s)
	}
}

// FuzzTemplate: any text is compiled and evaluated, or refused with words.
func FuzzTemplate(f *testing.F) {
	expressions(f)
	f.Fuzz(func(t *testing.T, text string) {
		tpl, err := ParseTemplate(text)
		if err == nil {
			_, err = tpl.Eval(testWorld())
		}
		worded(t, err)
	})
}

// FuzzCondition does the same for the value of if.
func FuzzCondition(f *testing.F) {
	expressions(f)
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseCondition(text)
		if err == nil {
			_, err = c.Eval(testWorld())
		}
		worded(t, err)
	})
}

func worded(t *testing.T, err error) {
	t.Helper()
	var e *Error
	if err != nil && (!errors.As(err, &e) || e.Message == "") {
		t.Fatalf("the error says nothing: %#v", err)
	}
}

// FuzzJSON: what is read is written in the same way again.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.5,"x",null,true]}`, `1e400`, `"\ud800"`, `[[[[]]]]`, `{"a":1,"a":2}`, `-0`, `-0.0`, `12345678901234567890`, `{} {}`, "\xff", `{"b":{"z":[true,"<&>é\u2028\\"],"a":-7},"":[]}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		v, err := Decode(text)
		if slow, slowErr := decodeOther(text); (err == nil) != (slowErr == nil) || err == nil && !reflect.DeepEqual(v, slow) {
			t.Fatalf("%q is read as %#v (%v), by encoding/json as %#v (%v)", text, v, err, slow, slowErr)
		}
		if err != nil {
			return
		}
		one, err := Encode(v)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Decode(one)
		if err != nil {
			t.Fatalf("%s is not read again: %v", one, err)
		}
		if two, err := Encode(again); err != nil || !bytes.Equal(one, two) {
			t.Fatalf("%s becomes %s (%v)", one, two, err)
		}
		if other, err := encodeOther(v); err != nil || !bytes.Equal(one, other) {
			t.Fatalf("%s is %s for encoding/json (%v)", one, other, err)
		}
	})
}
