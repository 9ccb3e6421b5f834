/** What the guest of `bootSector` makes of the power button. */
export type PowerButton = 'obey' | 'ignore';

/** Where QEMU's q35 machine has its ACPI power management block (SeaBIOS, PORT_ACPI_PM_BASE). */
const PM_STATUS = 0x600;
const PM_ENABLE = 0x602;
const PM_CONTROL = 0x604;
const SERIAL = 0x3f8;

/**
 * The whole of a guest in a boot sector for QEMU's q35: it prints `text` on the first serial port, echoes what is typed there, switches itself
 * off at the ACPI power button (or not) and at a typed `O`, and resets itself at a typed `R`.
 */
export function bootSector(text: string, button: PowerButton = 'obey'): Buffer {
  const message = Buffer.from(`${text}\r\n\0`, 'latin1');
  const code: number[] = [];
  const labels = new Map<string, number>();
  const jumps: { readonly at: number; readonly to: string }[] = [];
  const emit = (...bytes: number[]): void => void code.push(...bytes);
  const label = (name: string): void => void labels.set(name, code.length);
  const jump = (opcode: number, to: string): void => {
    emit(opcode, 0);
    jumps.push({ at: code.length - 1, to });
  };
  const port = (number: number): void => emit(0xba, number & 0xff, number >> 8); // mov dx, number
  const [je, jne, jmp] = [0x74, 0x75, 0xeb];
  const messageAt = 0x7c00 + 0x90;

  emit(0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xd0, 0xbc, 0x00, 0x7c); // ds = ss = 0, sp = 7c00h
  emit(0xbe, messageAt & 0xff, messageAt >> 8); // mov si, message
  port(SERIAL);
  label('print');
  emit(0xac, 0x84, 0xc0); // lodsb; test al, al
  jump(je, 'printed');
  emit(0xee); // out dx, al
  jump(jmp, 'print');
  label('printed');
  emit(0xb8, 0x00, 0x01); // mov ax, 100h: the power button's bit
  port(PM_STATUS);
  emit(0xef); // out dx, ax: clears an old press
  port(PM_ENABLE);
  emit(0xef);
  label('loop');
  emit(0xfb, 0xf4); // sti; hlt until the timer ticks
  label('typed');
  port(SERIAL + 5);
  emit(0xec, 0xa8, 0x01); // in al, dx; test al, 1: is there a character
  jump(je, 'quiet');
  port(SERIAL);
  emit(0xec, 0xee, 0x3c, 'R'.charCodeAt(0)); // in al, dx; out dx, al; cmp al, 'R'
  jump(jne, 'noReset');
  emit(0xb0, 0xfe, 0xe6, 0x64); // the keyboard controller pulls the reset line
  label('noReset');
  emit(0x3c, 'O'.charCodeAt(0));
  jump(je, 'off');
  jump(jmp, 'typed');
  label('quiet');
  if (button === 'obey') {
    port(PM_STATUS);
    emit(0xed, 0xf6, 0xc4, 0x01); // in ax, dx; test ah, 1
    jump(jne, 'off');
  }
  jump(jmp, 'loop');
  label('off');
  port(PM_CONTROL);
  emit(0xb8, 0x00, 0x20, 0xef); // SLP_EN, S5
  jump(jmp, 'loop');

  for (const { at, to } of jumps) code[at] = ((labels.get(to) ?? 0) - (at + 1)) & 0xff;
  if (code.length > 0x90 || message.length > 0x100) throw new Error('the boot sector is too long');
  const sector = Buffer.alloc(512);
  Buffer.from(code).copy(sector);
  message.copy(sector, 0x90);
  sector.writeUInt16LE(0xaa55, 510);
  return sector;
}
