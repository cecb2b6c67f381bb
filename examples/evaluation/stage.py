"""The 3-D stage: objects, light, lens, and the projection of each symbol."""

import math
from pathlib import Path

import bpy
import cv2
import numpy as np
from mathutils import Euler, Matrix, Vector

SAMPLES = 6
LENS_MM, SENSOR_MM = 36, 36


def material(name, color=(0.8, 0.8, 0.8), rough=0.6, texture=None, bump=0.0):
    """A material of one colour, with a printed image, or with a procedural pattern ("wood", "stone", "brick")."""
    made = bpy.data.materials.new(name)
    made.use_nodes = True
    nodes, links = made.node_tree.nodes, made.node_tree.links
    shader = nodes["Principled BSDF"]
    shader.inputs["Roughness"].default_value = rough
    shader.inputs["Base Color"].default_value = (*color, 1)
    if isinstance(texture, np.ndarray):
        node = nodes.new("ShaderNodeTexImage")
        node.image = picture(name, texture)
        links.new(node.outputs["Color"], shader.inputs["Base Color"])
    elif texture:
        kind = "ShaderNodeTexBrick" if texture == "brick" else "ShaderNodeTexNoise"
        node, where, stretch = (nodes.new(n) for n in (kind, "ShaderNodeTexCoord", "ShaderNodeMapping"))
        stretch.inputs["Scale"].default_value = {"wood": (3, 45, 3), "stone": (60, 60, 60), "brick": (3, 3, 3)}[texture]
        node.inputs["Scale"].default_value = 1
        if texture != "brick":
            node.inputs["Detail"].default_value = 6
        links.new(where.outputs["Object"], stretch.inputs["Vector"])
        links.new(stretch.outputs["Vector"], node.inputs["Vector"])
        ramp = nodes.new("ShaderNodeValToRGB")
        ramp.color_ramp.elements[0].color = (*(c * 0.55 for c in color), 1)
        ramp.color_ramp.elements[1].color = (*color, 1)
        links.new(node.outputs["Fac" if "Fac" in node.outputs else "Factor"], ramp.inputs["Fac"])
        links.new(ramp.outputs["Color"], shader.inputs["Base Color"])
        bump_node = nodes.new("ShaderNodeBump")
        bump_node.inputs["Strength"].default_value = bump
        links.new(ramp.outputs["Color"], bump_node.inputs["Height"])
        links.new(bump_node.outputs["Normal"], shader.inputs["Normal"])
    return made


def picture(name, rgb):
    image = bpy.data.images.new(name, rgb.shape[1], rgb.shape[0])
    pixels = np.dstack([rgb[::-1].astype(np.float32) / 255, np.ones(rgb.shape[:2], np.float32)])
    image.pixels.foreach_set(pixels.ravel())
    return image


class Stage:
    """A scene under construction: its objects, and the outlines of their symbols in world coordinates."""

    def __init__(self, rng, size):
        bpy.ops.wm.read_factory_settings(use_empty=True)
        self.rng, self.size, self.outlines = rng, size, []
        self.scene = bpy.context.scene

    def sheet(self, drawn, width, at, turn=(0, 0, 0), bend=0.0, rough=0.5):
        """Add a printed sheet, `width` metres wide. `bend` is the radius of the cylinder that it follows."""
        image, marks = drawn
        height = width * image.shape[0] / image.shape[1]
        place = Matrix.Translation(at) @ Euler(turn).to_matrix().to_4x4()

        def surface(u, v):
            x = (u - 0.5) * width
            if not bend:
                return x, (0.5 - v) * height, 0.0
            return bend * math.sin(x / bend), (0.5 - v) * height, bend * (math.cos(x / bend) - 1)

        steps = 32
        grid = [surface(i / steps, j / steps) for j in range(steps + 1) for i in range(steps + 1)]
        row = steps + 1
        faces = [
            (j * row + i, (j + 1) * row + i, (j + 1) * row + i + 1, j * row + i + 1)
            for j in range(steps)
            for i in range(steps)
        ]
        mesh = bpy.data.meshes.new("sheet")
        mesh.from_pydata(grid, [], faces)
        uv = mesh.uv_layers.new()
        for loop in mesh.loops:
            j, i = divmod(loop.vertex_index, row)
            uv.data[loop.index].uv = (i / steps, 1 - j / steps)
        mesh.materials.append(material("print", rough=rough, texture=image))
        thing = bpy.data.objects.new("sheet", mesh)
        thing.matrix_world = place
        self.scene.collection.objects.link(thing)
        t = np.linspace(0, 1, 25)
        for label, (x0, y0, x1, y1) in marks:
            ring = [*((x, 0) for x in t), *((1, y) for y in t), *((x, 1) for x in t), *((0, y) for y in t)]
            inner = [(x, y) for x in t[2:-2:3] for y in t[2:-2:3]]
            points = [
                place @ Vector(surface((x0 + (x1 - x0) * a) / image.shape[1], (y0 + (y1 - y0) * b) / image.shape[0]))
                for a, b in ring + inner
            ]
            self.outlines.append((label, points[: len(ring)], points[len(ring) :]))

    def floor(self, texture=None, color=(0.5, 0.35, 0.22), image=None, turn=(0, 0, 0), at=(0, 0, 0)):
        bpy.ops.mesh.primitive_plane_add(size=6, location=at, rotation=turn)
        surface = image if image is not None else texture
        bpy.context.object.data.materials.append(material("floor", color, 0.55, surface, 0.03))

    def box(self, size, at, yaw=0.0, color=(0.55, 0.38, 0.2), texture=None):
        bpy.ops.mesh.primitive_cube_add(size=1, location=(at[0], at[1], size[2] / 2), rotation=(0, 0, yaw))
        bpy.context.object.scale = size
        bpy.context.object.data.materials.append(material("box", color, 0.7, texture))

    def on_box(self, drawn, width, size, at, yaw=0.0, face="front", shift=(0.0, 0.0), spin=0.0):
        """Put a sheet on a face of the box that `box` made with the same size, place and yaw."""
        base = Matrix.Translation((at[0], at[1], 0)) @ Euler((0, 0, yaw)).to_matrix().to_4x4()
        if face == "front":
            local = Matrix.Translation((shift[0], -size[1] / 2 - 0.001, size[2] / 2 + shift[1]))
            local = local @ Euler((math.pi / 2, 0, 0)).to_matrix().to_4x4()
        elif face == "right":
            local = Matrix.Translation((size[0] / 2 + 0.001, shift[0], size[2] / 2 + shift[1]))
            local = local @ Euler((math.pi / 2, 0, math.pi / 2)).to_matrix().to_4x4()
        else:
            local = Matrix.Translation((*shift, size[2] + 0.001))
        place = base @ local @ Euler((0, 0, spin)).to_matrix().to_4x4()
        self.sheet(drawn, width, place.to_translation(), place.to_euler())

    def can(self, drawn, radius, height, at, yaw=0.0, color=(0.7, 0.7, 0.72)):
        """Add a can with a sheet wrapped around a part of it, which faces the viewer at yaw 0."""
        bpy.ops.mesh.primitive_cylinder_add(radius=radius, depth=height, location=(*at, height / 2), vertices=96)
        bpy.ops.object.shade_smooth_by_angle()
        bpy.context.object.data.materials.append(material("can", color, 0.3))
        image = drawn[0]
        width = min(2.2 * radius, height * 0.85 * image.shape[1] / image.shape[0])
        out = Matrix.Rotation(yaw, 4, "Z") @ Vector((0, -radius - 0.001, 0))
        self.sheet(drawn, width, (at[0] + out.x, at[1] + out.y, height / 2), (math.pi / 2, 0, yaw), radius + 0.001)

    def prop(self, at, size):
        color = tuple(self.rng.uniform(0.05, 0.8, 3))
        kind = self.rng.integers(4)
        if kind == 0:
            bpy.ops.mesh.primitive_uv_sphere_add(radius=size, location=(*at, size))
        elif kind == 1:
            bpy.ops.mesh.primitive_torus_add(major_radius=size, minor_radius=size / 3, location=(*at, size / 3))
        elif kind == 2:
            bpy.ops.mesh.primitive_cone_add(radius1=size, depth=2 * size, location=(*at, size))
        else:
            bpy.ops.mesh.primitive_monkey_add(size=2 * size, location=(*at, size * 0.8), rotation=(-0.6, 0, at[0] * 3))
        bpy.ops.object.shade_smooth()
        bpy.context.object.data.materials.append(material("prop", color, float(self.rng.uniform(0.1, 0.7))))

    def light(self, surroundings, turn, strength=1.0, lamp=15.0):
        world = self.scene.world = bpy.data.worlds.new("world")
        world.use_nodes = True
        nodes, links = world.node_tree.nodes, world.node_tree.links
        node, mapping, where = (nodes.new(f"ShaderNode{n}") for n in ("TexEnvironment", "Mapping", "TexCoord"))
        folder = Path(bpy.utils.system_resource("DATAFILES")) / "studiolights" / "world"
        node.image = bpy.data.images.load(str(folder / f"{surroundings}.exr"))
        mapping.inputs["Rotation"].default_value = (0, 0, turn)
        links.new(where.outputs["Generated"], mapping.inputs["Vector"])
        links.new(mapping.outputs["Vector"], node.inputs["Vector"])
        links.new(node.outputs["Color"], nodes["Background"].inputs["Color"])
        nodes["Background"].inputs["Strength"].default_value = strength
        if lamp:
            at = (math.cos(turn) * 1.2, -abs(math.sin(turn)) * 1.2 - 0.3, 1.6)
            bpy.ops.object.light_add(type="AREA", location=at)
            bpy.context.object.data.energy = lamp
            bpy.context.object.data.size = 0.25
            bpy.context.object.rotation_euler = (-Vector(at)).to_track_quat("-Z", "Y").to_euler()

    def look(self, eye, target, roll=0.0, stop=5.6, lens=LENS_MM):
        bpy.ops.object.camera_add(location=eye)
        self.camera = camera = bpy.context.object
        turn = (Vector(target) - Vector(eye)).to_track_quat("-Z", "Y").to_matrix() @ Matrix.Rotation(roll, 3, "Z")
        camera.rotation_euler = turn.to_euler()
        camera.data.lens, camera.data.sensor_width = lens, SENSOR_MM
        camera.data.sensor_fit = "HORIZONTAL"
        camera.data.dof.use_dof = True
        camera.data.dof.focus_distance = (Vector(target) - Vector(eye)).length
        camera.data.dof.aperture_fstop = stop
        self.scene.camera = camera
        self.eye, self.focal = Vector(eye), lens / SENSOR_MM * self.size[0]
        bpy.context.view_layer.update()

    def project(self, points):
        """Project world coordinates to px, without distortion."""
        into = self.camera.matrix_world.inverted()
        seen = np.array([into @ p for p in points])
        w, h = self.size
        return np.stack([w / 2 - self.focal * seen[:, 0] / seen[:, 2], h / 2 + self.focal * seen[:, 1] / seen[:, 2]], 1)

    def visible(self, points):
        """The fraction of the points that lie in the image and are not hidden."""
        graph, (w, h), seen = bpy.context.evaluated_depsgraph_get(), self.size, 0
        for point, (x, y) in zip(points, self.project(points), strict=True):
            way = point - self.eye
            hit, where, *_ = self.scene.ray_cast(graph, self.eye, way.normalized(), distance=way.length + 0.1)
            seen += 0 <= x < w and 0 <= y < h and hit and (where - point).length < 0.004
        return seen / len(points)

    def annotations(self, bulge):
        """[(label, x0, y0, x1, y1)] of the visible symbols, and whether every symbol is either clear or invisible."""
        found, clean = [], True
        for label, ring, inner in self.outlines:
            share = self.visible(inner)
            xy = distort(self.project(ring), self.size, bulge)
            (x0, y0), (x1, y1) = xy.min(axis=0), xy.max(axis=0)
            x0, x1 = np.clip((x0, x1), 0, self.size[0])
            y0, y1 = np.clip((y0, y1), 0, self.size[1])
            if share > 0.9 and min(x1 - x0, y1 - y0) > 14:
                found.append((label, *(round(float(v), 1) for v in (x0, y0, x1, y1))))
            elif share > 0.04:
                clean = False
        return found, clean

    def render(self, path, bulge, exposure=0.0):
        scene = self.scene
        scene.render.engine = "CYCLES"
        scene.cycles.samples, scene.cycles.use_denoising, scene.cycles.max_bounces = SAMPLES, True, 3
        scene.cycles.adaptive_threshold = 0.05
        scene.render.resolution_x, scene.render.resolution_y = self.size
        scene.view_settings.view_transform = "Filmic"
        scene.view_settings.look = "Medium High Contrast"
        scene.view_settings.exposure = exposure
        scene.render.image_settings.file_format = "PNG"
        scene.render.filepath = str(path.with_suffix(".png"))
        scene.render.threads_mode, scene.render.threads = "FIXED", 2
        bpy.ops.render.render(write_still=True)
        image = cv2.imread(str(path.with_suffix(".png"))).astype(np.float32)
        path.with_suffix(".png").unlink()
        w, h = self.size
        grid = np.stack(np.meshgrid(np.arange(w) + 0.5, np.arange(h) + 0.5), -1).reshape(-1, 2)
        source = undistort(grid, self.size, bulge).reshape(h, w, 2).astype(np.float32) - 0.5
        image = cv2.remap(image, source[..., 0], source[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        grain = self.rng.normal(0, self.rng.uniform(1, 5), image.shape)
        image = np.clip(image + cv2.GaussianBlur(grain, (0, 0), 0.6), 0, 255).astype(np.uint8)
        cv2.imwrite(str(path), image, [cv2.IMWRITE_JPEG_QUALITY, int(self.rng.integers(72, 90))])


def distort(xy, size, bulge):
    """Barrel (bulge < 0) or pincushion distortion around the centre. The corners do not move."""
    centre = np.array(size) / 2
    flat = (xy - centre) / np.linalg.norm(centre)
    squared = (flat**2).sum(axis=1, keepdims=True)
    return flat * (1 + bulge * squared) / (1 + bulge) * np.linalg.norm(centre) + centre


def undistort(xy, size, bulge):
    guess = xy.astype(np.float64)
    for _ in range(8):
        guess = guess + xy - distort(guess, size, bulge)
    return guess
