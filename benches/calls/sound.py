"""How late sound is, from the beeps that the built-in tone gives at every whole second."""
import array
import math
import wave

BEEP_HZ = 1000


def share(samples, rate):
    """The share of the power that lies at the beep's pitch (Goertzel)."""
    turn = 2 * math.pi * BEEP_HZ / rate
    real = sum(s * math.cos(turn * n) for n, s in enumerate(samples))
    imaginary = sum(s * math.sin(turn * n) for n, s in enumerate(samples))
    power = sum(s * s for s in samples)
    return 2 * (real * real + imaginary * imaginary) / len(samples) / power if power else 0


def delays(path, first_audio):
    """Of each beep after the first two seconds, in ms. `first_audio` dates the first sample that sounds."""
    with wave.open(str(path)) as file:
        rate, channels = file.getframerate(), file.getnchannels()
        samples = array.array("h", file.readframes(file.getnframes()))[::channels]
    first = next(n for n, sample in enumerate(samples) if sample)
    step, found, before = rate // 200, [], True
    for at in range(first + 2 * rate, len(samples) - step, step):
        there = share(samples[at:at + step], rate) > 0.5
        if there and not before:
            found.append((first_audio + (at - first) / rate * 1000) % 1000)
        before = there
    return found
