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
)

// Decode reads one JSON value. Whole numbers become int, others float64.
func Decode(data []byte) (any, error) {
	q := quick{text: data}
	if v, ok := q.value(0); ok {
		if q.space(); q.at == len(data) {
			return v, nil
		}
	}
	return decodeOther(data)
}

// decodeOther is Decode for all that quick leaves.
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
		if !strings.ContainsAny(v.String(), ".eE") {
			if n, err := v.Int64(); err == nil {
				return int(n)
			}
		}
		f, err := v.Float64()
		if err != nil {
			return v.String()
		}
		return f + 0 // -0.0 is 0, as -0 is
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

// Encode writes a value as compact JSON with sorted keys and without escapes
// for HTML. Numbers that JSON does not know are an error.
func Encode(v any) ([]byte, error) {
	if b, ok := appendJSON(make([]byte, 0, 128), v, 0); ok {
		return b, nil
	}
	return encodeOther(v)
}

// encodeOther is Encode by reflection, for all that appendJSON leaves.
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

// appendJSON writes what values mostly are: encoding/json took a twelfth of an
// orchestrator's time with it. It gives up on everything else, and at any depth
// that only a cycle has. A test holds the two to the same bytes.
func appendJSON(b []byte, v any, depth int) ([]byte, bool) {
	if depth > quickDepth {
		return nil, false
	}
	switch v := v.(type) {
	case nil:
		return append(b, "null"...), true
	case bool:
		return strconv.AppendBool(b, v), true
	case int:
		return strconv.AppendInt(b, int64(v), 10), true
	case string:
		return appendString(b, v)
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
		var ok bool
		if b, ok = appendString(b, k); !ok {
			return nil, false
		}
		if b, ok = appendJSON(append(b, ':'), m[k], depth+1); !ok {
			return nil, false
		}
	}
	return append(b, '}'), true
}

// appendString writes a text that needs no escapes.
func appendString(b []byte, s string) ([]byte, bool) {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return nil, false
		}
	}
	return append(append(append(b, '"'), s...), '"'), true
}
