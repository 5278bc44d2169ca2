package expr

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func resultOf(v any) *Result {
	raw, err := Encode(v)
	if err != nil {
		panic(err)
	}
	return NewResult(raw)
}

// padding makes a text too large to be decoded whole.
var padding = strings.Repeat("x", small)

// oddResult is JSON that no encoder of ours writes: numbers with zeros, keys in
// no order and twice, escapes that are not needed.
const oddResult = `{"z":1.0,"big":12345678901234567890,"a":[1e2,{"k\u0065y":"\u0061"},null],"z":2.50,"none":null,"t":"line\n\"two\" \u00e9\/é"}`

func oddWorld(large bool) world {
	w := testWorld()
	text := oddResult
	if large {
		text = `{"padding":"` + padding + `",` + strings.Replace(text[1:], `{"k`, `{"pad":"`+padding+`","k`, 1)
	}
	w.jobs["odd"] = Job{Status: "succeeded", Outputs: NewResult([]byte(text))}
	w.jobs["each"] = Job{Status: "succeeded", Outputs: NewListResult([][]byte{[]byte(text), nil, []byte(`"two"`)})}
	return w
}

func TestATemplatePassesResultsOnAsTheyAre(t *testing.T) {
	t.Parallel()
	for _, large := range []bool{false, true} {
		pad := ""
		if large {
			pad = `"pad":"` + padding + `",`
		}
		for _, c := range []struct{ in, want string }{
			{"${odd.z}", "2.50"},
			{"${odd.big}", "12345678901234567890"},
			{"${(odd.t)}", `"line\n\"two\" \u00e9\/é"`},
			{"${odd.a}", `[1e2,{` + pad + `"k\u0065y":"\u0061"},null]`},
			{"${odd.a[1].key}", `"\u0061"`},
			{"${odd.a.0}", "1e2"},
			{"${odd.a.length}", "3"},
			{"${odd.none}", "null"},
			{"${odd.none ?? odd.z}", "2.50"},
			{"${odd.missing ?? odd.z}", "2.5"},
			{"${inputs.flag ? odd.z : 1}", "2.50"},
			{"${inputs.flag ? 1 : odd.z}", "1"},
			{"${jobs.odd.outputs.z}", "2.50"},
			{"${jobs['odd'].outputs['a'][inputs.n - 3]}", "1e2"},
			{"${each[1]}", "null"},
			{"${each[2]}", `"two"`},
			{"${each[0].z}", "2.50"},
			{"${each.length}", "3"},
			{"${odd.z * 2}", "5"},
			{"${odd.z}!", `"2.5!"`},
		} {
			w := oddWorld(large)
			tpl, err := ParseTemplate(map[string]any{"v": c.in})
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // what it has decoded makes no difference
				got, err := tpl.Append([]byte("x"), w)
				if want := `x{"v":` + c.want + "}"; err != nil || string(got) != want {
					t.Errorf("%s is %.200s (%v), want %.200s", c.in, got, err, want)
				}
				if _, err := tpl.Eval(w); err != nil {
					t.Error(err)
				}
				w.jobs["odd"].Outputs.Value()
				w.jobs["each"].Outputs.Value()
			}
		}
	}
}

func TestAListOfResultsIsPassedOn(t *testing.T) {
	t.Parallel()
	tpl, err := ParseTemplate("${each}")
	if err != nil {
		t.Fatal(err)
	}
	w := oddWorld(false)
	got, err := tpl.Append(nil, w)
	if want := "[" + oddResult + `,null,"two"]`; err != nil || string(got) != want {
		t.Errorf("got %s (%v), want %s", got, err, want)
	}
	v, ok := w.jobs["each"].Outputs.Lookup(0, "a", 1, "key")
	if !ok || v != "a" {
		t.Errorf("looked up %v, %v", v, ok)
	}
}

func TestAppendSecretSaysWhereSecretsBelong(t *testing.T) {
	t.Parallel()
	tpl, err := ParseTemplate(map[string]any{"a": list("${odd.t}", "x ${secrets.T}"), "b": "${secrets.U}"})
	if err != nil {
		t.Fatal(err)
	}
	w := oddWorld(true)
	value, wantSecrets, err := tpl.EvalSecret(w)
	if err != nil {
		t.Fatal(err)
	}
	got, secrets, err := tpl.AppendSecret(nil, w)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wantSecrets, secrets); diff != "" {
		t.Error(diff)
	}
	if v, err := Decode(got); err != nil || !cmp.Equal(v, value) {
		t.Errorf("got %s, want %v", got, value)
	}
	if _, err := tpl.Append(nil, w); err == nil {
		t.Error("a secret is read where none may be")
	}
}

// TestAppendOfLargeResults does the same for results that are indexed.
func TestAppendOfLargeResults(t *testing.T) {
	t.Parallel()
	for _, in := range []string{"${r.a}", "${r.a[0].b}", "${r.b}", "${r.a.x}", "${r.a[9]}", "${r.a.length}", "${r.c.d}", "${r['1']}", "${r.missing ?? r.b}", "${r[1]}", "${r[2].b}", "${r.length}"} {
		for _, text := range []string{
			`{"pad":"` + padding + `","a":[{"b":1,"pad":"` + padding + `"},2],"b":[],"1":0,"c":null,"b":"last"}`,
			`["` + padding + `",2,{"b":"` + padding + `"}]`,
			`"` + padding + `"`,
		} {
			checkAppend(t, in, []byte(text))
		}
	}
}
