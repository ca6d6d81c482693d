"""Title -> prompt, for models that were trained on long descriptions; as long as those of the MovieGen benchmark."""

from __future__ import annotations

from types import MappingProxyType

LONG = MappingProxyType(
    {
        "Lighthouse storm": (
            "A weathered stone lighthouse stands on a black cliff while a winter storm rolls in from the open sea. "
            "Tall slate-green waves break against the rocks below and throw curtains of white spray up the wall, and "
            "gulls hang almost still in the wind. The lamp turns slowly at the top, its warm yellow beam sweeping "
            "through low, fast clouds and lighting the rain as it passes. Wet grass on the headland bends and "
            "shivers. The camera drifts slowly sideways along the cliff at the height of the gallery, keeping the "
            "tower in the centre of the frame. Muted blues and greys, fine grain, the look of a nature film."
        ),
        "Red panda chef": (
            "In a small, cosy kitchen a fluffy red panda in a white apron stands on a wooden stool and kneads dough "
            "on a floured marble counter. Its dark paws press, fold and turn the dough with great care, its ears "
            "twitch, and its striped tail sways behind it. Copper pans gleam on the wall, a pot steams on the stove, "
            "and morning light falls through a window full of herbs, making the flour in the air sparkle. Now and "
            "then the animal pauses, tilts its head and looks contentedly at its work. Medium shot at the height of "
            "the counter with a very slow push in, shallow depth of field, soft colours, in the style of a "
            "hand-finished animated film."
        ),
        "Tram at night": (
            "An old cream-and-red tram glides along a narrow city street on a rainy night. Its windows glow amber, "
            "and silhouettes of passengers sway gently inside. Neon signs in pink, teal and violet are mirrored in "
            "the wet cobblestones and ripple whenever a drop falls or a bicycle hums by. People under dark umbrellas "
            "wait at the kerb, their breath visible in the cold. Sparks flicker for an instant where the pole meets "
            "the wire. The camera moves alongside at walking pace, low above the ground, so that reflections fill "
            "the lower half of the picture. Cinematic, with deep shadows, soft haze around the lamps and a slightly "
            "blurred background."
        ),
        "Coral garden": (
            "A diver's view of a coral garden in clear tropical water, a few metres below the surface. Shafts of "
            "sunlight dance over branching corals in orange, lilac and pale green, and a school of small silver fish "
            "turns as one body, flashing as it catches the light. A large green sea turtle swims calmly into the "
            "picture from the left, lifting its flippers in long, slow strokes, and crosses close above the reef. "
            "Sea fans bend back and forth with the swell, and tiny bubbles rise. The camera follows the turtle in "
            "one smooth, floating movement. Natural colours, fine detail in the shell and skin, a peaceful mood."
        ),
        "Clockmaker": (
            "Close view of an elderly clockmaker at his bench in a dim workshop crowded with pendulum clocks. He "
            "wears a loupe over one eye and a grey waistcoat, his silver hair is combed back, and his wrinkled hands "
            "move slowly and surely as he lowers a brass gear into an open pocket watch with fine tweezers. A green "
            "desk lamp lights his face from one side, and dust floats in its glow. Behind him dozens of pendulums "
            "swing, out of focus, each in its own rhythm. He breathes out, leans back a little and smiles. Warm "
            "light against dark brown wood, steady camera, shallow depth of field, like a portrait in oil."
        ),
        "Desert balloon race": (
            "At sunrise a dozen hot-air balloons with bold stripes and patchwork patterns rise one after another "
            "from a wide valley of red sandstone towers. Burners roar and flare, lighting the silk from inside like "
            "lanterns, while long blue shadows draw back across the desert floor. The air is clear and still; thin "
            "mist clings to a dry river bed, and a flock of birds crosses far below. The camera flies forward at the "
            "height of the baskets, past a crimson balloon so near that its woven wicker can be seen, and then out "
            "over the valley, where the balloons spread towards the horizon. Sweeping aerial shot, golden light, "
            "crisp and grand."
        ),
    }
)
