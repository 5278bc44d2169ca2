package flow

type valueKind int

const (
	scalarValue valueKind = iota
	listValue
	mapValue
)

// value is one YAML value. A map holds its keys and items at the same indexes.
type value struct {
	kind         valueKind
	line, column int
	quoted       bool
	text         string // of a scalar, as written
	scalar       any    // nil, bool, int, float64 or string
	keys         []*value
	items        []*value
}

// plain converts a value to the types of JSON.
func (v *value) plain() any {
	switch v.kind {
	case listValue:
		list := make([]any, len(v.items))
		for i, item := range v.items {
			list[i] = item.plain()
		}
		return list
	case mapValue:
		m := make(map[string]any, len(v.keys))
		for i, k := range v.keys {
			m[k.text] = v.items[i].plain()
		}
		return m
	}
	return v.scalar
}

// at returns the value under a path of keys and indexes.
func (v *value) at(path []any) *value {
	for _, p := range path {
		switch p := p.(type) {
		case int:
			if v.kind == listValue && p < len(v.items) {
				v = v.items[p]
			}
		case string:
			for i, k := range v.keys {
				if k.text == p {
					v = v.items[i]
					break
				}
			}
		}
	}
	return v
}

// get returns the value of a key; nil when there is none.
func (v *value) get(name string) *value {
	if v == nil || v.kind != mapValue {
		return nil
	}
	for i, k := range v.keys {
		if k.text == name {
			return v.items[i]
		}
	}
	return nil
}

// key returns the place of a key; nil when there is none.
func (v *value) key(name string) *value {
	for _, k := range v.keys {
		if k.text == name {
			return k
		}
	}
	return nil
}

func (v *value) describe() string {
	switch v.kind {
	case listValue:
		return "a list"
	case mapValue:
		return "a map"
	}
	switch v.scalar.(type) {
	case nil:
		return "nothing"
	case bool:
		return "a boolean"
	case int, float64:
		return "a number"
	}
	return "a text"
}
