package expr

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/orchis-run/orchis/internal/jsontext"
)

// Decode reads one JSON value. Whole numbers become int, others float64.
func Decode(data []byte) (any, error) {
	d := decoder{text: data}
	if v, ok := d.value(jsontext.MaxDepth); ok {
		if jsontext.SkipSpace(data, d.at) == len(data) {
			return v, nil
		}
	}
	return decodeOther(data)
}

// decodeOther is Decode by encoding/json. It says what is wrong with a text.
func decodeOther(data []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("read JSON: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("read JSON: there is more than one value")
	}
	return plain(v), nil
}

// plain turns the decoder's numbers into int and float64.
func plain(v any) any {
	switch v := v.(type) {
	case json.Number:
		return number(v.String())
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = plain(v[k])
		}
	}
	return v
}

// number is the value of a valid JSON number: an int if it is written as a whole
// number and fits, else a float64, and its text if it fits neither.
func number(text string) any {
	if !strings.ContainsAny(text, ".eE") {
		if n, err := strconv.ParseInt(text, 10, strconv.IntSize); err == nil {
			return int(n)
		}
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return text
	}
	return f + 0 // -0.0 is 0, as -0 is
}

// maxEncodeDepth is a depth that only a value which contains itself exceeds.
const maxEncodeDepth = 1000

// Encode writes a value as compact JSON with sorted keys and without escapes
// for HTML. Numbers that JSON does not know are an error.
func Encode(v any) ([]byte, error) { return Append(make([]byte, 0, 128), v) }

// Append is Encode behind the bytes of b.
func Append(b []byte, v any) ([]byte, error) {
	if longer, ok := appendJSON(b, v, 0); ok {
		return longer, nil
	}
	raw, err := encodeOther(v)
	return append(b, raw...), err
}

// encodeOther is Encode by reflection, for types that expressions do not make.
func encodeOther(v any) ([]byte, error) {
	if f, ok := v.(float64); ok && (math.IsNaN(f) || math.IsInf(f, 0)) {
		return nil, &Error{Message: "the number is infinite or not a number, which JSON cannot say"}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, &Error{Message: "write JSON: " + err.Error()}
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// appendJSON appends the values of expressions. It fails for other types, for
// infinite numbers and for values that contain themselves. A fuzz test compares
// it with encodeOther.
func appendJSON(b []byte, v any, depth int) ([]byte, bool) {
	if depth > maxEncodeDepth {
		return nil, false
	}
	switch v := v.(type) {
	case nil:
		return append(b, "null"...), true
	case bool:
		return strconv.AppendBool(b, v), true
	case int:
		return strconv.AppendInt(b, int64(v), 10), true
	case float64:
		return appendFloat(b, v)
	case string:
		return jsontext.AppendQuote(b, v), true
	case []any:
		if v == nil {
			return append(b, "null"...), true
		}
		b = append(b, '[')
		for i, x := range v {
			if i > 0 {
				b = append(b, ',')
			}
			var ok bool
			if b, ok = appendJSON(b, x, depth+1); !ok {
				return nil, false
			}
		}
		return append(b, ']'), true
	case map[string]any:
		return appendMap(b, v, depth)
	}
	return nil, false
}

func appendMap(b []byte, m map[string]any, depth int) ([]byte, bool) {
	if m == nil {
		return append(b, "null"...), true
	}
	var few [8]string
	keys := few[:0]
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	b = append(b, '{')
	for i, k := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(jsontext.AppendQuote(b, k), ':')
		var ok bool
		if b, ok = appendJSON(b, m[k], depth+1); !ok {
			return nil, false
		}
	}
	return append(b, '}'), true
}

// appendFloat writes a number as encoding/json does: with an exponent only if it
// is very small or very large, and that without leading zeros.
func appendFloat(b []byte, f float64) ([]byte, bool) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, false
	}
	abs := math.Abs(f)
	if abs == 0 || 1e-6 <= abs && abs < 1e21 {
		return strconv.AppendFloat(b, f, 'f', -1, 64), true
	}
	b = strconv.AppendFloat(b, f, 'e', -1, 64)
	if n := len(b); n >= 4 && string(b[n-4:n-1]) == "e-0" {
		b = append(b[:n-2], b[n-1])
	}
	return b, true
}
