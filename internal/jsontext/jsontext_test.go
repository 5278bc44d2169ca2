package jsontext

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
)

// texts are JSON and what is nearly JSON.
func texts() []string {
	return []string{
		"", " ", "{}", "[]", `{"a":[1,-2.5e+10,true,false,null,"x\u00e9\n"],"b":{}}`, "[1,]", "{,}", `{"a"}`, `{"a":}`, "01", "-", "1.", "1e", ".5", "+1", "tru", "nul",
		"\"\x01\"", `"\x"`, `"\u12"`, `"\u12g4"`, `"\u0000"`, "\"\xff\"", `"a`, `"a\`, "1 2", " [ 1 , 2 ] ", "{\"a\" : 1}", "\u00a01", "-0", "-01", "1E5", "1e+", "0x1",
		`"\u 123"`, `"\u00\u0041"`,
		`"\ud83d\ude00"`, `"\ud83d"`, `"\ud83d\ud83d\ude00"`, `"\ude00\ud83d"`, `"\ud83d\n"`, `"\ud83d\u0041"`, `"\ud83dxx\ude00"`, `"\uD83D\uDE0"`, `"\ud83d\`, "\"\xe2\x80\"", "\"\xed\xa0\x80\"",
		"\"12345678\\u00e9\xff345678\"", `"0123456789abcdef0123456789\"abcdef\\0123456789\tabc"`, "\"0123456789\x7f\"", "\"01234567\u2028\u2029\u2030\"", "\"0123456\t\"", "\"0123456\n\"", `"<&>'/\/"`,
		"\"\xc0\xaf\xf4\x90\x80\x80\xf0\x9f\x98\x80\"", "\"\xe2\"", "\"\xe2\x80\xa8\"", "\"abcdefg\xe2\xff\xa8\"", "\"\ufffd\"", `{"a":1,"a":2,"b\u0061":3}`, "\ufeff{}", "\"\u0085\u00a0\"",
	}
}

// checkLikeEncoding compares all functions with encoding/json for one text.
func checkLikeEncoding(t *testing.T, text string) {
	t.Helper()
	raw := []byte(text)
	valid := json.Valid(raw)
	if got := Valid(text); got != valid {
		t.Fatalf("Valid(%q) = %v, want %v", text, got, valid)
	}
	if got := Valid(raw); got != valid {
		t.Fatalf("Valid([]byte(%q)) = %v, want %v", text, got, valid)
	}
	var want string
	isString := valid && json.Unmarshal(raw, &want) == nil && raw[0] == '"' && raw[len(raw)-1] == '"'
	if got, ok := Unquote(text); ok != isString || ok && got != want {
		t.Fatalf("Unquote(%q) = %q, %v, want %q, %v", text, got, ok, want, isString)
	}
	if got, ok := Unquote(raw); ok != isString || ok && got != want {
		t.Fatalf("Unquote([]byte(%q)) = %q, %v, want %q, %v", text, got, ok, want, isString)
	}
	quoted := encoded(t, text)
	if got := AppendQuote(nil, text); !bytes.Equal(got, quoted) {
		t.Fatalf("AppendQuote(%q) = %s, want %s", text, got, quoted)
	}
	if got := AppendQuote([]byte("x"), raw); string(got) != "x"+string(quoted) {
		t.Fatalf("AppendQuote([]byte(%q)) = %s, want x%s", text, got, quoted)
	}
	if valid {
		var compact bytes.Buffer
		if err := json.Compact(&compact, raw); err != nil {
			t.Fatal(err)
		}
		if _, got := Check(text); got != (compact.Len() == len(text)) {
			t.Fatalf("Check(%q) says compact: %v", text, got)
		}
		if got := AppendCompact([]byte("x"), text); string(got) != "x"+compact.String() {
			t.Fatalf("AppendCompact(%q) = %s, want x%s", text, got, compact.String())
		}
	}
	r := NewReader(raw)
	if v := readAll(&r, 0); r.End() != valid && len(text) < 2*MaxDepth {
		t.Fatalf("the reader reads %q as %v: %v, want %v", text, v, r.End(), valid)
	} else if valid {
		var want any
		d := json.NewDecoder(bytes.NewReader(raw))
		d.UseNumber()
		if err := d.Decode(&want); err != nil {
			t.Fatal(err)
		}
		got, _ := json.Marshal(v)
		if expected, _ := json.Marshal(want); !bytes.Equal(got, expected) {
			t.Fatalf("the reader reads %q as %s, want %s", text, got, expected)
		}
	}
}

func encoded(t *testing.T, v any) []byte {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// readAll reads a value with the methods of a reader.
func readAll(r *Reader[[]byte], depth int) any {
	switch r.Kind() {
	case '{':
		m := map[string]any{}
		for name, more := r.Object(); more; name, more = r.Next() {
			m[string(name)] = readAll(r, depth+1)
		}
		return m
	case '[':
		l := []any{}
		for more := r.Array(); more; more = r.More() {
			l = append(l, readAll(r, depth+1))
		}
		return l
	case '"':
		return r.String()
	case 't', 'f':
		return r.Bool()
	case 'n', 0:
		r.Skip()
		return nil
	}
	return json.Number(r.Raw())
}

func TestDeepTextsAreReadAsByEncodingJSON(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1500, 9999, 10000, 10001} {
		checkLikeEncoding(t, strings.Repeat("[", n)+strings.Repeat("]", n))
		checkLikeEncoding(t, strings.Repeat("[", n)+"1"+strings.Repeat("]", n-1))
		checkLikeEncoding(t, strings.Repeat(`{"a":`, n)+"1"+strings.Repeat("}", n))
	}
}

func TestTextsAreReadAsByEncodingJSON(t *testing.T) {
	t.Parallel()
	for _, text := range texts() {
		checkLikeEncoding(t, text)
		for i := range 9 { // at each place within eight bytes
			checkLikeEncoding(t, `"`+strings.Repeat("x", i)+strings.Trim(text, `"`)+`"`)
			checkLikeEncoding(t, strings.Repeat("x", i)+text)
		}
	}
}

// TestChangedTextsAreReadAsByEncodingJSON replaces, removes and doubles single
// bytes of texts.
func TestChangedTextsAreReadAsByEncodingJSON(t *testing.T) {
	t.Parallel()
	const letters = "{}[]\",:\\ua0189eE+-. \n\ttfnrlsb/\x00\x1f\x7f\xff\xe2\x80\xa8"
	whole := []string{
		`{"a":[1,-2.5e+10,true,false,null,"x\u00e9\n"],"b":{"c d":"\"\\\/"}}`, `[[],{},"",0,-0.1E-7," "]`, ` { "x" : "é" } `,
		`"2024-05-01 INFO \"café\" opened ☕\n\tat main.go:12 — done\u2028 \ud83d\ude00"`,
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 50_000 {
		text := whole[r.IntN(len(whole))]
		for range 1 + r.IntN(3) {
			at, b := r.IntN(len(text)), letters[r.IntN(len(letters))]
			text = text[:at] + []string{"", string(text[at]) + string(text[at]), string([]byte{b}), text[at:at+1] + string([]byte{b})}[r.IntN(4)] + text[at+1:]
			if text == "" {
				text = "0"
			}
		}
		checkLikeEncoding(t, text)
	}
}

func TestSkipSaysWhereATextStopsBeingJSON(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		from int
		end  int
		ok   bool
	}{
		{`{"a":1} x`, 0, 7, true},
		{`x "a\"b",`, 1, 8, true},
		{`  12`, 0, 4, true},
		{`{"a":truu}`, 0, 5, false},
		{`[1,,2]`, 0, 3, false},
		{`"abc`, 0, 4, false},
		{`"ab\x"`, 0, 3, false},
		{``, 0, 0, false},
	} {
		if end, ok := Skip(c.text, c.from); end != c.end || ok != c.ok {
			t.Errorf("Skip(%q, %d) = %d, %v, want %d, %v", c.text, c.from, end, ok, c.end, c.ok)
		}
	}
}

func TestReaderFailsOnAnotherKindOfValue(t *testing.T) {
	t.Parallel()
	for name, read := range map[string]func(*Reader[string]){
		"object": func(r *Reader[string]) { r.Object() },
		"array":  func(r *Reader[string]) { r.Array() },
		"string": func(r *Reader[string]) { _ = r.String() },
		"int":    func(r *Reader[string]) { r.Int() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, text := range []string{"true", "1.5", "", "null", "99999999999999999999"} {
				r := NewReader(text)
				if read(&r); r.OK() || r.End() {
					t.Errorf("%q is read", text)
				}
				if r.Raw() != "" || r.String() != "" || r.Int() != 0 || r.Bool() || r.Array() {
					t.Errorf("%q is read after the failure", text)
				}
			}
		})
	}
	r := NewReader(`{"n":-12,"b":false,"r":[1, 2]}`)
	var n int64
	raw := ""
	b := true
	for name, more := r.Object(); more; name, more = r.Next() {
		switch name {
		case "n":
			n = r.Int()
		case "b":
			b = r.Bool()
		case "r":
			raw = r.Raw()
		}
	}
	if !r.End() || n != -12 || b || raw != "[1, 2]" {
		t.Errorf("read %d, %v and %q, %v", n, b, raw, r.End())
	}
}
