package artifact

import (
	"bytes"
	"debug/elf"
	"debug/macho"
	"debug/pe"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/slipway-ci/slipway/ci/target"
)

const (
	formatELF   = "ELF"
	formatMachO = "Mach-O"
	formatPE    = "PE"
	formatXCOFF = "XCOFF"
	formatPlan9 = "Plan 9"
	formatWasm  = "WebAssembly"
)

// image is what the header of a binary says.
type image struct {
	format  string
	machine string // as GOARCH
	static  bool
	dynamic string // what makes it dynamic, for the error
}

// formatOf is the format that programs of the system have.
func formatOf(t target.Target) string {
	switch t.OS {
	case "darwin", "ios":
		return formatMachO
	case "windows":
		return formatPE
	case "aix":
		return formatXCOFF
	case "plan9":
		return formatPlan9
	case "js", "wasip1":
		return formatWasm
	}
	return formatELF
}

var errUnknownFormat = errors.New("is no program of a known format (ELF, Mach-O, PE, XCOFF, Plan 9, WebAssembly)")

// inspect reads the header of a binary of any format.
func inspect(r io.ReaderAt, size int64) (image, error) {
	head := make([]byte, 8)
	if n, err := r.ReadAt(head, 0); n < len(head) {
		if errors.Is(err, io.EOF) {
			return image{}, fmt.Errorf("%w: it has %d bytes", errUnknownFormat, size)
		}
		return image{}, err
	}
	switch magic := binary.BigEndian.Uint32(head); {
	case string(head[:4]) == elf.ELFMAG:
		return inspectELF(r, size)
	case magic == macho.Magic64 || bytes.Equal(head[:4], []byte{0xcf, 0xfa, 0xed, 0xfe}):
		return inspectMachO(r, size)
	case string(head[:2]) == "MZ":
		return inspectPE(r, size)
	case string(head) == "\x00asm\x01\x00\x00\x00":
		return image{format: formatWasm, machine: "wasm"}, nil
	case head[0] == 0x01 && head[1] == 0xf7:
		return image{format: formatXCOFF, machine: "ppc64"}, nil
	case plan9Machine(magic) != "":
		return image{format: formatPlan9, machine: plan9Machine(magic)}, nil
	}
	return image{}, errUnknownFormat
}

func plan9Machine(magic uint32) string {
	switch magic {
	case 0x8a97:
		return "amd64"
	case 0x01eb:
		return "386"
	case 0x0647:
		return "arm"
	}
	return ""
}

func inspectELF(r io.ReaderAt, size int64) (image, error) {
	file, err := elf.NewFile(r)
	if err != nil {
		return image{}, fmt.Errorf("read ELF header: %w", err)
	}
	for _, segment := range file.Progs {
		if err := inFile("segment", segment.Off, segment.Filesz, size); err != nil {
			return image{}, err
		}
	}
	found := image{format: formatELF, machine: elfMachine(file)}
	found.dynamic, err = dynamicReason(file)
	if err != nil {
		return image{}, err
	}
	found.static = found.dynamic == ""
	return found, nil
}

// dynamicReason says what a program needs from the system when it starts.
func dynamicReason(file *elf.File) (string, error) {
	libraries, err := file.ImportedLibraries()
	if err != nil {
		return "", fmt.Errorf("read ELF libraries: %w", err)
	}
	if len(libraries) > 0 {
		return "dynamic (needs " + strings.Join(libraries, ", ") + ")", nil
	}
	for _, segment := range file.Progs {
		if segment.Type == elf.PT_INTERP {
			name, err := io.ReadAll(io.LimitReader(segment.Open(), 256))
			if err != nil {
				return "", fmt.Errorf("read ELF interpreter: %w", err)
			}
			return "dynamic (needs " + strings.TrimRight(string(name), "\x00") + ")", nil
		}
	}
	return "", nil
}

// elfMachine names the processor as Go does: width and byte order tell some of
// them apart.
func elfMachine(file *elf.File) string {
	wide, little := file.Class == elf.ELFCLASS64, file.Data == elf.ELFDATA2LSB
	name := map[elf.Machine]string{
		elf.EM_386: "386", elf.EM_X86_64: "amd64", elf.EM_ARM: "arm", elf.EM_AARCH64: "arm64",
		elf.EM_LOONGARCH: "loong64", elf.EM_RISCV: "riscv64", elf.EM_S390: "s390x",
		elf.EM_PPC64: "ppc64", elf.EM_MIPS: "mips",
	}[file.Machine]
	switch {
	case name == "mips" && wide:
		name = "mips64"
	case name == "" || wide != isWide(name):
		return fmt.Sprintf("%v (%v)", file.Machine, file.Class)
	}
	bigEndianName := name == "mips" || name == "mips64" || name == "ppc64"
	switch {
	case bigEndianName && little:
		return name + "le"
	case !bigEndianName && little == (name == "s390x"):
		return fmt.Sprintf("%v (%v)", file.Machine, file.Data)
	}
	return name
}

func isWide(arch string) bool { return arch != "386" && arch != "arm" && arch != "mips" }

func inspectMachO(r io.ReaderAt, size int64) (image, error) {
	file, err := macho.NewFile(r)
	if err != nil {
		return image{}, fmt.Errorf("read Mach-O header: %w", err)
	}
	for _, load := range file.Loads {
		segment, ok := load.(*macho.Segment)
		if !ok {
			continue
		}
		if err := inFile("segment "+segment.Name, segment.Offset, segment.Filesz, size); err != nil {
			return image{}, err
		}
	}
	machine := map[macho.Cpu]string{macho.CpuAmd64: "amd64", macho.CpuArm64: "arm64"}[file.Cpu]
	if machine == "" {
		machine = file.Cpu.String()
	}
	return image{format: formatMachO, machine: machine}, nil
}

func inspectPE(r io.ReaderAt, size int64) (image, error) {
	file, err := pe.NewFile(r)
	if err != nil {
		return image{}, fmt.Errorf("read PE header: %w", err)
	}
	for _, section := range file.Sections {
		if err := inFile("section "+section.Name, uint64(section.Offset), uint64(section.Size), size); err != nil {
			return image{}, err
		}
	}
	machine := map[uint16]string{
		pe.IMAGE_FILE_MACHINE_I386: "386", pe.IMAGE_FILE_MACHINE_AMD64: "amd64",
		pe.IMAGE_FILE_MACHINE_ARM64: "arm64", pe.IMAGE_FILE_MACHINE_ARMNT: "arm",
	}[file.Machine]
	if machine == "" {
		machine = fmt.Sprintf("PE machine %#x", file.Machine)
	}
	return image{format: formatPE, machine: machine}, nil
}

// inFile tells a file that was cut off from a whole one.
func inFile(what string, offset, length uint64, size int64) error {
	end := offset + length
	if end >= offset && end <= uint64(size) {
		return nil
	}
	return fmt.Errorf("%s ends at byte %d of %d: the file is cut off or damaged", what, end, size)
}
