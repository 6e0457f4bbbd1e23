package artifact

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/target"
)

func parse(t *testing.T, name string) target.Target {
	t.Helper()
	parsed, err := target.Parse(name)
	require.NoError(t, err)
	return parsed
}

// build compiles a program without imports: the cheapest binary there is.
func build(t *testing.T, name string, extra ...string) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module example.com/tiny\n\ngo 1.24\n"), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "main.go"), []byte("package main\n\nfunc main() {}\n"), 0o644))
	command := exec.CommandContext(t.Context(), "go", append([]string{"build", "-trimpath", "-ldflags=-s -w", "-o", "tiny"}, append(extra, ".")...)...)
	command.Dir = dir
	command.Env = append(append(os.Environ(), "GOFLAGS=-buildvcs=false", "GOWORK=off", "CGO_ENABLED=0"), parse(t, name).Env()...)
	output, err := command.CombinedOutput()
	require.NoError(t, err, "%s", output)
	return filepath.Join(dir, "tiny")
}

func TestCheckAcceptsWhatGoBuilds(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles the Go runtime for several targets")
	}
	for name, want := range map[string]Info{
		"linux/amd64":   {Format: formatELF, Machine: "amd64", Static: true},
		"linux/arm/v7":  {Format: formatELF, Machine: "arm", Static: true},
		"darwin/arm64":  {Format: formatMachO, Machine: "arm64"},
		"windows/amd64": {Format: formatPE, Machine: "amd64"},
		"wasip1/wasm":   {Format: formatWasm, Machine: "wasm"},
		"aix/ppc64":     {Format: formatXCOFF, Machine: "ppc64"},
		"plan9/386":     {Format: formatPlan9, Machine: "386"},
	} {
		t.Run(name, func(t *testing.T) {
			path := build(t, name)
			info, err := Check(path, Want{Target: parse(t, name), Link: Static})
			require.NoError(t, err)
			assert.Equal(t, want, Info{Format: info.Format, Machine: info.Machine, Static: info.Static})
			assert.Len(t, info.SHA256, 64)
			stat, err := os.Stat(path)
			require.NoError(t, err)
			assert.Equal(t, stat.Size(), info.Size)
			if info.Format != formatWasm && info.Format != formatXCOFF { // they cannot tell
				assert.Equal(t, "example.com/tiny", info.Module)
				assert.Equal(t, "example.com/tiny", info.Package)
				assert.Equal(t, "0", info.Settings["CGO_ENABLED"])
			}
		})
	}
}

func TestCheckNamesEveryDifference(t *testing.T) {
	path := build(t, "linux/amd64")
	for name, c := range map[string]struct {
		change func(*Want)
		says   []string
	}{
		"other system":  {func(w *Want) { w.Target.OS = "darwin" }, []string{"format is ELF, wanted Mach-O", "GOOS is linux, wanted darwin"}},
		"other machine": {func(w *Want) { w.Target.Arch = "arm64" }, []string{"machine is amd64, wanted arm64", "GOARCH is amd64, wanted arm64"}},
		"same header":   {func(w *Want) { w.Target.OS = "freebsd" }, []string{"GOOS is linux, wanted freebsd"}},
		"variant":       {func(w *Want) { w.Target.Variant = "v3" }, []string{"GOAMD64 is v1, wanted v3"}},
		"cgo":           {func(w *Want) { w.CGO = true }, []string{"CGO_ENABLED is 0, wanted 1"}},
		"module":        {func(w *Want) { w.Module = "example.com/other" }, []string{"main module is example.com/tiny, wanted example.com/other"}},
		"version":       {func(w *Want) { w.GoVersion = "1.0" }, []string{"wanted 1.0"}},
	} {
		t.Run(name, func(t *testing.T) {
			want := Want{Target: parse(t, "linux/amd64"), Link: Static}
			c.change(&want)
			_, err := Check(path, want)
			var mismatch *MismatchError
			require.ErrorAs(t, err, &mismatch)
			for _, text := range c.says {
				assert.ErrorContains(t, err, text)
			}
			assert.Equal(t, len(strings.Split(err.Error(), "\n")), max(len(c.says), 1))
		})
	}
}

func TestCheckFindsDynamicLinking(t *testing.T) {
	path := build(t, "linux/amd64", "-buildmode=pie")
	want := Want{Target: parse(t, "linux/amd64"), Link: Static}
	_, err := Check(path, want)
	assert.ErrorContains(t, err, "linking is dynamic (needs /lib64/ld-linux-x86-64.so.2), wanted static")
	want.Link = "auto"
	info, err := Check(path, want)
	require.NoError(t, err)
	assert.False(t, info.Static)
}

func TestCheckFindsDamage(t *testing.T) {
	data, err := os.ReadFile(build(t, "linux/amd64"))
	require.NoError(t, err)
	want := Want{Target: parse(t, "linux/amd64"), Link: Static}
	for name, c := range map[string]struct {
		data []byte
		says string
	}{
		"empty":             {nil, "it has 0 bytes"},
		"text":              {[]byte("#!/bin/sh\necho hello\n"), "is no program"},
		"header only":       {data[:64], "ELF"},
		"cut in the middle": {data[:len(data)/2], ""},
		"cut at the end":    {data[:len(data)-1], ""},
		"no build info":     {bytes.ReplaceAll(data, []byte("\xff Go buildinf:"), []byte("\xff No buildinf:")), "read Go build information"},
		"zeros":             {make([]byte, 4096), "is no program"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := CheckReader(bytes.NewReader(c.data), "app", want)
			require.Error(t, err)
			assert.ErrorContains(t, err, c.says)
			assert.ErrorContains(t, err, "app")
		})
	}
}

func TestCheckWithoutAFile(t *testing.T) {
	_, err := Check(filepath.Join(t.TempDir(), "none"), Want{})
	assert.ErrorIs(t, err, os.ErrNotExist)
}

// header is an ELF file with nothing but its header.
func header(machine elf.Machine, class elf.Class, order binary.ByteOrder) []byte {
	ident := [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(class), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)}
	if order == binary.BigEndian {
		ident[elf.EI_DATA] = byte(elf.ELFDATA2MSB)
	}
	var out bytes.Buffer
	if class == elf.ELFCLASS64 {
		_ = binary.Write(&out, order, elf.Header64{Ident: ident, Type: 2, Machine: uint16(machine), Version: 1, Ehsize: 64})
	} else {
		_ = binary.Write(&out, order, elf.Header32{Ident: ident, Type: 2, Machine: uint16(machine), Version: 1, Ehsize: 52})
	}
	return out.Bytes()
}

func TestMachinesOfELF(t *testing.T) {
	little, big := binary.ByteOrder(binary.LittleEndian), binary.ByteOrder(binary.BigEndian)
	headers := map[string][]byte{
		"386":      header(elf.EM_386, elf.ELFCLASS32, little),
		"amd64":    header(elf.EM_X86_64, elf.ELFCLASS64, little),
		"arm":      header(elf.EM_ARM, elf.ELFCLASS32, little),
		"arm64":    header(elf.EM_AARCH64, elf.ELFCLASS64, little),
		"loong64":  header(elf.EM_LOONGARCH, elf.ELFCLASS64, little),
		"mips":     header(elf.EM_MIPS, elf.ELFCLASS32, big),
		"mipsle":   header(elf.EM_MIPS, elf.ELFCLASS32, little),
		"mips64":   header(elf.EM_MIPS, elf.ELFCLASS64, big),
		"mips64le": header(elf.EM_MIPS, elf.ELFCLASS64, little),
		"ppc64":    header(elf.EM_PPC64, elf.ELFCLASS64, big),
		"ppc64le":  header(elf.EM_PPC64, elf.ELFCLASS64, little),
		"riscv64":  header(elf.EM_RISCV, elf.ELFCLASS64, little),
		"s390x":    header(elf.EM_S390, elf.ELFCLASS64, big),
	}
	for arch, data := range headers {
		found, err := inspect(bytes.NewReader(data), int64(len(data)))
		require.NoError(t, err, arch)
		assert.Equal(t, arch, found.machine)
		assert.True(t, found.static)
	}
	for _, known := range target.Known() {
		if formatOf(known) == formatELF {
			assert.Contains(t, headers, known.Arch, "every processor that Go knows has a test")
		}
	}
	for name, data := range map[string][]byte{
		"x32":            header(elf.EM_X86_64, elf.ELFCLASS32, little),
		"32 bit riscv":   header(elf.EM_RISCV, elf.ELFCLASS32, little),
		"big-endian arm": header(elf.EM_ARM, elf.ELFCLASS32, big),
		"little s390":    header(elf.EM_S390, elf.ELFCLASS64, little),
		"sparc":          header(elf.EM_SPARC, elf.ELFCLASS32, big),
	} {
		found, err := inspect(bytes.NewReader(data), int64(len(data)))
		require.NoError(t, err, name)
		assert.NotContains(t, headers, found.machine, name)
	}
}

func TestFormatsByMagic(t *testing.T) {
	for want, head := range map[image]string{
		{format: formatWasm, machine: "wasm"}:   "\x00asm\x01\x00\x00\x00",
		{format: formatXCOFF, machine: "ppc64"}: "\x01\xf7\x00\x00\x00\x00\x00\x00",
		{format: formatPlan9, machine: "386"}:   "\x00\x00\x01\xeb\x00\x00\x00\x00",
		{format: formatPlan9, machine: "amd64"}: "\x00\x00\x8a\x97\x00\x00\x00\x00",
		{format: formatPlan9, machine: "arm"}:   "\x00\x00\x06\x47\x00\x00\x00\x00",
	} {
		found, err := inspect(strings.NewReader(head), int64(len(head)))
		require.NoError(t, err)
		assert.Equal(t, want, found)
		assert.False(t, found.tells(strings.NewReader(head)), "whatever build information there is cannot be found")
	}
}

func FuzzInspect(f *testing.F) {
	f.Add(header(elf.EM_X86_64, elf.ELFCLASS64, binary.LittleEndian))
	f.Add([]byte("MZ\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Add([]byte("\xcf\xfa\xed\xfe\x00\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, _ = CheckReader(bytes.NewReader(data), "app", Want{Target: target.Target{OS: "linux", Arch: "amd64"}, Link: Static})
	})
}
