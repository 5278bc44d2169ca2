package expr

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
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
	for _, s := range []string{
		`{"a":[1,2.5,"x",null,true]}`, `1e400`, `"\ud800"`, `[[[[]]]]`, `{"a":1,"a":2}`, `-0`, `-0.0`, `12345678901234567890`, `{} {}`, "\xff", `{"b":{"z":[true,"<&>é\u2028\\"],"a":-7},"":[]}`,
		`[1e-7,-1.5e-9,1e20,1e21,1.0,-1e-400,9223372036854775807,-9223372036854775808,9223372036854775808,123456789012345678,1e5]`, `"a\nb\u00e9\ud83d\ude00\ud83d"`,
		"\"line\u00e9 one\xe2\x80\"", "\"\x01\"", "[01]", "[-]", "[1.]", "{1:2}", "[,]",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(checkJSON)
}

// TestDeepJSON does the same for texts that are too deep to fuzz.
func TestDeepJSON(t *testing.T) {
	t.Parallel()
	for _, n := range []int{99, 1001, 1200, 10000, 10001} {
		checkJSON(t, []byte(strings.Repeat("[", n)+strings.Repeat("]", n)))
		checkJSON(t, []byte(strings.Repeat(`{"a":`, n)+"1"+strings.Repeat("}", n)))
	}
}

func checkJSON(t *testing.T, text []byte) {
	t.Helper()
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
}

// FuzzAppend compares a template written as JSON at once with its value encoded.
func FuzzAppend(f *testing.F) {
	for _, c := range []string{"${r.a}", "${r.a[0].b ?? 7}", "${r}", "a ${r.a} b", "${r.length}", "${jobs.r.outputs['a'] == null ? r : r.a}", "${r[0]}", "${(r)['b']}", "${r.a.b}", "${jobs.r.status}", "${map(r, x, x)}", "${inputs.a}", "${inputs}", "${inputs.a[0] ?? inputs.b}"} {
		for _, text := range []string{`{"a":[{"b":1.50}],"b":"x"}`, `[1,[2,"\u00e9"],{"a":{}}]`, `{"a":{"b":null},"a":{"b":-0.0}}`, `"text"`, `null`, oddResult} {
			f.Add(c, []byte(text))
		}
	}
	f.Fuzz(checkAppend)
}

func checkAppend(t *testing.T, in string, text []byte) {
	t.Helper()
	value, err := Decode(text)
	if err != nil {
		return
	}
	tpl, err := ParseTemplate(in)
	if err != nil {
		return
	}
	w := testWorld()
	w.jobs["r"], w.roots["inputs"] = Job{Status: "succeeded", Outputs: NewResult(text)}, NewResult(text)
	got, gotErr := tpl.Append(nil, w)
	w.jobs["r"], w.roots["inputs"] = Job{Status: "succeeded", Outputs: NewValueResult(value)}, value
	v, err := tpl.Eval(w)
	var want []byte
	if err == nil {
		want, err = Encode(v)
	}
	w.roots["inputs"] = NewValueResult(value)
	if made, err := tpl.Append(nil, w); err == nil && !bytes.Equal(made, want) {
		t.Fatalf("%q of the value of %s is %s, want %s", in, text, made, want)
	}
	if fmt.Sprint(err) != fmt.Sprint(gotErr) {
		t.Fatalf("%q of %s fails with %v, want %v", in, text, gotErr, err)
	}
	if err != nil {
		return
	}
	if one, two := canonical(t, got), canonical(t, want); one != two {
		t.Fatalf("%q of %s is %s, want %s", in, text, one, two)
	}
}

// canonical is JSON as it is after it was read and written.
func canonical(t *testing.T, text []byte) string {
	t.Helper()
	v, err := Decode(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	raw, err := Encode(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
