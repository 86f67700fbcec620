"""A clip that both sides of a comparison send: 720p30, two seconds, markers 0 to 59, moving content."""
import math

WIDTH, HEIGHT, FPS, FRAMES = 1280, 720, 30, 60
CELLS, BAND = 40, HEIGHT // 15


def marker_row(number):
    """One luma row of the marker that docs/probe.md describes."""
    gray = number ^ (number >> 1)
    code = [(gray >> bit) & 1 for bit in range(15, -1, -1)]
    cells = [1, 0, 1, 0] + code + [1 - bit for bit in code] + [0, 1, 0, 1]
    return b"".join(bytes([215 if cell else 35]) * (WIDTH // CELLS) for cell in cells)


def wave(length, *periods):
    """Smooth light and shadow, repeating after `length`."""
    def at(n):
        return sum(math.sin(2 * math.pi * n * p / length) for p in periods) / len(periods)
    return bytes(int(128 + 80 * at(n)) for n in range(length)) * 2


def write(path):
    """Writes the clip as Y4M, about 83 MB."""
    luma, chroma = wave(WIDTH, 1, 3, 7), wave(WIDTH // 2, 1, 2)
    with open(path, "wb") as file:
        file.write(f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F{FPS}:1 Ip A1:1 C420jpeg\n".encode())
        for number in range(FRAMES):
            file.write(b"FRAME\n")
            angle = 2 * math.pi * number / FRAMES
            file.write(marker_row(number) * BAND)
            for row in range(BAND, HEIGHT):
                shift = int((row * 0.7 + 300 * math.sin(angle + row / 200)) % WIDTH)
                file.write(luma[shift:shift + WIDTH])
            for phase in (0.0, 1.5):
                gray = bytes([128]) * (WIDTH // 2)
                for row in range(HEIGHT // 2):
                    if row < BAND // 2:
                        file.write(gray)
                        continue
                    shift = int((row * 0.5 + 90 * math.sin(angle + phase)) % (WIDTH // 2))
                    file.write(chroma[shift:shift + WIDTH // 2])
