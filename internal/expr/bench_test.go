package expr

import "testing"

// BenchmarkTemplate evaluates what inputs of jobs mostly are: a value as it is,
// one within a text, and a calculation.
func BenchmarkTemplate(b *testing.B) {
	scope := testWorld()
	for name, text := range map[string]string{
		"value": "${fetch.file}", "text": "${fetch.file} is one of ${inputs.n}", "calculation": "${inputs.n + 1 > 3 ? first(inputs.list) : last(inputs.list)}",
	} {
		b.Run(name, func(b *testing.B) {
			t, err := ParseTemplate(text)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := t.Eval(scope); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
